package main

import (
	"bufio"
	"io/fs"
	"path"
	"strconv"
	"strings"
)

// unknownMemory is taken for the memory of a machine that does not tell it.
const unknownMemory = 16 << 30

// machineMemory is how many bytes the machine has, or the control group of this
// process may take, whichever is less. Root is the root of the file system,
// which has both in /proc and /sys (proc_meminfo(5), and cgroup-v2.rst and
// cgroup-v1/memory.rst of Linux).
func machineMemory(root fs.FS) int64 {
	memory := int64(unknownMemory)
	if n, ok := memTotal(root); ok {
		memory = n
	}
	for _, file := range limitFiles(root) {
		text, err := fs.ReadFile(root, file)
		if err != nil {
			continue // another version of control groups, or none
		}
		if n, err := strconv.ParseInt(strings.TrimSpace(string(text)), 10, 64); err == nil && n > 0 {
			memory = min(memory, n)
		}
	}
	return memory
}

// memTotal is the memory that Linux knows of.
func memTotal(root fs.FS) (int64, bool) {
	text, err := fs.ReadFile(root, "proc/meminfo")
	if err != nil {
		return 0, false
	}
	for line := range strings.Lines(string(text)) {
		words := strings.Fields(line)
		if len(words) < 2 || words[0] != "MemTotal:" {
			continue
		}
		n, err := strconv.ParseInt(words[1], 10, 64)
		return n << 10, err == nil && n > 0
	}
	return 0, false
}

// limitFiles are where limits of control groups may be: those of the group of
// this process and of all groups that it is in. In a container the own group is
// mounted as the root.
func limitFiles(root fs.FS) []string {
	files := []string{"sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"}
	f, err := root.Open("proc/self/cgroup")
	if err != nil {
		return files
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		parts := strings.SplitN(lines.Text(), ":", 3) // number:controllers:group
		if len(parts) != 3 {
			continue
		}
		for group := path.Clean("/" + parts[2]); group != "/"; group = path.Dir(group) {
			switch {
			case parts[1] == "":
				files = append(files, "sys/fs/cgroup"+group+"/memory.max")
			case strings.Contains(","+parts[1]+",", ",memory,"):
				files = append(files, "sys/fs/cgroup/memory"+group+"/memory.limit_in_bytes")
			}
		}
	}
	return files
}
