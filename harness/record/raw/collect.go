package raw

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/cleancut/cleancut/harness/record"
)

// Collect reads the file of a process and fills in its name and incarnations:
// Start and Restore begin a new one. Where the process started again although
// nobody wrote down that it had died, its crash is added: at the last of the
// times at which its machine was killed, if one of them fits, else right after
// its last event. Down tells that the process does not run now.
//
// With an error the events are what could be read: the record has a hole.
func Collect(process string, r io.Reader, killed []time.Duration, down bool) ([]record.Event, error) {
	c := collector{process: process, killed: slices.Sorted(slices.Values(killed))}
	var holes []error
	in := bufio.NewReader(r)
	for {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			if hole := c.line(line); hole != nil {
				holes = append(holes, hole)
			}
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			holes = append(holes, fmt.Errorf("the record of %s: %w", process, err))
			break
		}
	}
	if down {
		c.crash(1<<63 - 1)
	}
	return c.events, errors.Join(holes...)
}

type collector struct {
	process     string
	killed      []time.Duration
	events      []record.Event
	incarnation int
	torn        bool // the last line is unfinished: its process died in it
}

func (c *collector) last() time.Duration {
	if len(c.events) == 0 {
		return 0
	}
	return c.events[len(c.events)-1].T
}

// line takes the next line. One that is unfinished was cut off by the death
// of its process.
func (c *collector) line(line []byte) error {
	var e record.Event
	if err := json.Unmarshal(line, &e); err != nil {
		c.torn = true
		return nil
	}
	torn := c.torn
	c.torn = false
	switch {
	case e.Kind == Full:
		return fmt.Errorf("the record of %s reached its limit at %d events: shorten the run", c.process, len(c.events))
	case e.Kind == record.Start:
		c.crash(e.T)
	case torn && e.Kind != record.Crash:
		return fmt.Errorf("the record of %s has an unreadable line after %d events, although its process went on", c.process, len(c.events))
	case e.Kind == record.Crash && c.dead():
		return nil
	}
	c.add(e)
	return nil
}

func (c *collector) add(e record.Event) {
	if e.Kind == record.Start || e.Kind == record.Restore {
		c.incarnation++
	}
	e.Proc, e.Inc = c.process, c.incarnation
	c.events = append(c.events, e)
}

// dead tells that the process is not alive as far as its events tell.
func (c *collector) dead() bool {
	return len(c.events) == 0 || c.events[len(c.events)-1].Kind == record.Crash
}

// crash adds a crash that happened before a time and that nobody wrote down.
func (c *collector) crash(before time.Duration) {
	if c.dead() {
		return
	}
	at := c.last()
	for _, k := range c.killed {
		if k >= at && k <= before {
			at = k
		}
	}
	c.add(record.Event{T: at, Kind: record.Crash, Reason: "its machine went down"})
}

// Before returns the events of a process that did not happen after a time.
func Before(until time.Duration, events []record.Event) []record.Event {
	i := slices.IndexFunc(events, func(e record.Event) bool { return e.T > until })
	if i < 0 {
		return events
	}
	return events[:i]
}

// Merge puts the events of processes together in order of time, on the clock
// that began at zero of the host's. What happened before is set to 0.
func Merge(zero time.Duration, processes ...[]record.Event) []record.Event {
	n := 0
	for _, p := range processes {
		n += len(p)
	}
	if n == 0 {
		return nil
	}
	all := make([]record.Event, 0, n)
	for _, p := range processes {
		all = append(all, p...)
	}
	slices.SortStableFunc(all, func(a, b record.Event) int { return cmp.Compare(a.T, b.T) })
	for i := range all {
		all[i].T = max(0, all[i].T-zero)
	}
	return all
}
