package docker

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Labels that everything carries that this package makes.
const (
	labelMark      = "cleancut"               // "1" on containers and networks
	labelRun       = "cleancut.run"           // id of the run
	labelNode      = "cleancut.node"          // name of the node
	labelEvidence  = "cleancut.evidence"      // on containers: where the run keeps its evidence
	labelRecord    = "cleancut.record"        // on containers: where the node keeps its record
	labelPID       = "cleancut.pid"           // the owner's process
	labelPIDStart  = "cleancut.pid-start"     // its start time in clock ticks, against reuse of the id
	labelPIDSpace  = "cleancut.pid-namespace" // where that id means something
	labelBoot      = "cleancut.boot"          // boot id of the owner's host
	labelStarted   = "cleancut.started"       // wall clock, for people
	labelImage     = "cleancut.image"         // "1" on images
	bootIDPath     = "/proc/sys/kernel/random/boot_id"
	pidSpacePath   = "/proc/self/ns/pid"
	statStartField = 22 // of /proc/PID/stat, from 1
)

// owner identifies a process for as long as the world lasts.
type owner struct {
	pid                        int
	pidStart, pidSpace, bootID string
}

// self is this process.
func self() (owner, error) {
	boot, err := os.ReadFile(bootIDPath)
	if err != nil {
		return owner{}, fmt.Errorf("docker: this host cannot be identified: %w", err)
	}
	space, err := os.Readlink(pidSpacePath)
	if err != nil {
		return owner{}, fmt.Errorf("docker: this process cannot be identified: %w", err)
	}
	start, err := processStart(os.Getpid())
	if err != nil {
		return owner{}, fmt.Errorf("docker: this process cannot be identified: %w", err)
	}
	return owner{os.Getpid(), start, space, strings.TrimSpace(string(boot))}, nil
}

// errDead means that a process is there, and has ended.
var errDead = errors.New("dead")

// processStart reads when a process was started. A process that exists no
// more is an error.
func processStart(pid int) (string, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return "", err
	}
	// The second field is the command in parentheses and may contain spaces.
	_, rest, ok := strings.Cut(string(b), ") ")
	if i := strings.LastIndex(string(b), ") "); i >= 0 {
		rest = string(b)[i+2:]
	}
	fields := strings.Fields(rest)
	if !ok || len(fields) < statStartField-2 {
		return "", fmt.Errorf("/proc/%d/stat cannot be read", pid)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return "", fmt.Errorf("process %d is %w", pid, errDead)
	}
	return fields[statStartField-3], nil
}

// labels are those of something that o makes for a run.
func (o owner) labels(run string) map[string]string {
	return map[string]string{
		labelMark:     "1",
		labelRun:      run,
		labelPID:      strconv.Itoa(o.pid),
		labelPIDStart: o.pidStart,
		labelPIDSpace: o.pidSpace,
		labelBoot:     o.bootID,
		labelStarted:  time.Now().UTC().Format(time.RFC3339),
	}
}

// dead tells whether the owner of something with these labels is certainly
// dead, as o sees it. The reason says why, in either case.
func (o owner) dead(labels map[string]string) (bool, string) {
	pid, err := strconv.Atoi(labels[labelPID])
	switch {
	case labels[labelMark] != "1" || err != nil || labels[labelBoot] == "" || labels[labelPIDStart] == "":
		return false, "its labels do not name an owner"
	case labels[labelBoot] != o.bootID:
		return true, "its owner's host has been started anew since"
	case labels[labelPIDSpace] != o.pidSpace:
		return false, "its owner lives in another pid namespace, where it cannot be seen"
	}
	start, err := processStart(pid)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ESRCH), errors.Is(err, errDead):
		return true, fmt.Sprintf("its owner, process %d, is dead", pid)
	case err != nil:
		return false, fmt.Sprintf("whether its owner, process %d, lives cannot be told: %v", pid, err)
	case start != labels[labelPIDStart]:
		return true, fmt.Sprintf("its owner is dead; process %d is another one now", pid)
	default:
		return false, fmt.Sprintf("its owner, process %d, lives", pid)
	}
}
