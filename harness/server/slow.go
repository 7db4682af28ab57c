package server

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"time"
)

// delayedSuffix is appended to the name of the file with the delay: there, a
// byte is appended for each sync that was delayed.
const delayedSuffix = ".count"

// slowBy names the file that says by how many nanoseconds syncs take longer.
// While there is none they are as fast as the disk is. Fault model: a disk
// that completes late; its reads and its cache are as fast as ever.
func (fl *flusher) slowBy(file string) {
	fl.mu.Lock()
	defer fl.mu.Unlock()
	fl.slowFile = file
}

// linger delays the completion of a sync that is done, unless the flusher is
// told to stop.
func (fl *flusher) linger() error {
	fl.mu.Lock()
	file := fl.slowFile
	fl.mu.Unlock()
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("the delay of syncs: %w", err)
	}
	delay, err := strconv.ParseInt(string(text), 10, 64)
	if err != nil {
		return fmt.Errorf("the delay of syncs in %s: %w", file, err)
	}
	timer := time.NewTimer(time.Duration(delay))
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-fl.quit:
		return nil
	}
	f, err := os.OpenFile(file+delayedSuffix, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return fmt.Errorf("counting delayed syncs: %w", err)
	}
	_, err = f.Write([]byte{1})
	return errors.Join(err, f.Close())
}
