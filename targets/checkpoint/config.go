package checkpoint

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/cleancut/cleancut/targets/store"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// controlNodes is how many nodes, from the first on, are control nodes.
const controlNodes = 3

// Config holds the constants of a node. All nodes of a cluster must agree on
// them.
type Config struct {
	// Protocol is how a consistent global state is captured: see README.md.
	Protocol string
	// Job is what the workers compute (workloads/jobs), Size how many units
	// each does, and JobSeed what the job draws its randomness from.
	Job     string
	Size    int
	JobSeed uint64
	// Interval is the time between the beginnings of two rounds.
	Interval time.Duration
	// PartnerEvery, LocalEvery and StoreEvery say that a level is written in
	// every round whose number they divide; 0 is never. One of them must be
	// 1, so that every round is kept somewhere.
	PartnerEvery, LocalEvery, StoreEvery int
	// Retain is how many committed rounds are kept, from 1.
	Retain int
	// FullEvery makes every n-th local checkpoint whole and those between
	// increments of the one before; 1 makes all of them whole.
	FullEvery int
	// Sink is how output reaches the outside world, and Fallback what happens
	// where a committed round cannot be restored although output of it is
	// visible: see sink.go and fallback.go.
	Sink, Fallback string

	// Step is the pause between two units of work of a worker.
	Step time.Duration
	// Beat is how often a worker reports to the control nodes.
	Beat time.Duration
	// SuspectAfter is the silence after which a worker is taken for dead.
	SuspectAfter time.Duration
	// RoundTimeout bounds a round; one that takes longer is aborted.
	RoundTimeout time.Duration
	// ResendAfter is when a frame without acknowledgement is sent again.
	ResendAfter time.Duration
	// Store configures the control nodes' store.
	Store store.Config
	// Bug is the id of the planted bug to switch on, "" for none.
	Bug string
}

// DefaultConfig is for nodes in containers.
func DefaultConfig() Config {
	return Config{
		Protocol:     chandyLamportProtocol,
		Job:          "transfer",
		Size:         600,
		JobSeed:      1,
		Interval:     time.Second,
		PartnerEvery: 1,
		LocalEvery:   1,
		StoreEvery:   4,
		Retain:       2,
		FullEvery:    4,
		Sink:         transactionalSink,
		Fallback:     failLoudly,
		Step:         20 * time.Millisecond,
		Beat:         100 * time.Millisecond,
		SuspectAfter: 1500 * time.Millisecond,
		RoundTimeout: 3 * time.Second,
		ResendAfter:  100 * time.Millisecond,
		Store:        store.DefaultConfig(),
	}
}

// SimConfig is for the simulator.
func SimConfig() Config {
	c := DefaultConfig()
	c.Store = store.SimConfig()
	return c
}

// Validate names the first field that is out of its range.
func (c Config) Validate() error {
	for _, f := range []struct {
		name        string
		value       int64
		least, most int64
	}{
		{"size", int64(c.Size), 1, jobs.SizeMax},
		{"partner-every", int64(c.PartnerEvery), 0, 1 << 20},
		{"local-every", int64(c.LocalEvery), 0, 1 << 20},
		{"store-every", int64(c.StoreEvery), 0, 1 << 20},
		{"retain", int64(c.Retain), 1, 64},
		{"full-every", int64(c.FullEvery), 1, chainMax},
	} {
		if f.value < f.least || f.value > f.most {
			return fmt.Errorf("checkpoint: config: %s is %d; expected %d to %d", f.name, f.value, f.least, f.most)
		}
	}
	for _, f := range []struct {
		name               string
		value, least, most time.Duration
	}{
		{"interval", c.Interval, 10 * time.Millisecond, time.Hour},
		{"step", c.Step, time.Microsecond, time.Minute},
		{"Beat", c.Beat, time.Millisecond, time.Minute},
		{"SuspectAfter", c.SuspectAfter, 2 * c.Beat, time.Hour},
		{"RoundTimeout", c.RoundTimeout, c.Beat, time.Hour},
		{"ResendAfter", c.ResendAfter, time.Millisecond, time.Minute},
	} {
		if f.value < f.least || f.value > f.most {
			return fmt.Errorf("checkpoint: config: %s is %v; expected %v to %v", f.name, f.value, f.least, f.most)
		}
	}
	if c.PartnerEvery != 1 && c.LocalEvery != 1 && c.StoreEvery != 1 {
		return fmt.Errorf("checkpoint: config: one of partner-every, local-every and store-every must be 1, or some rounds would be kept nowhere")
	}
	for _, f := range []struct {
		name, value string
		known       []string
	}{{"protocol", c.Protocol, protocolNames}, {"sink", c.Sink, sinkNames}, {"fallback", c.Fallback, fallbackNames}} {
		if err := oneOf(f.name, f.value, f.known); err != nil {
			return err
		}
	}
	if solo(c.Protocol) && (c.Sink != transactionalSink || c.Fallback != failLoudly) {
		return fmt.Errorf("checkpoint: config: the protocol %s has no rounds, and needs sink=%s and fallback=%s; they are %s and %s", c.Protocol, transactionalSink, failLoudly, c.Sink, c.Fallback)
	}
	switch job, err := jobs.Lookup(c.Job); {
	case err != nil:
		return fmt.Errorf("checkpoint: config: %w", err)
	case needsAcyclic(c.Protocol) && !job.Acyclic():
		return fmt.Errorf("checkpoint: config: the protocol %s needs a job whose channels form no cycle, and those of %s do; choose pipeline or montecarlo, or another protocol", c.Protocol, c.Job)
	}
	if err := checkBug(c.Bug); err != nil {
		return err
	}
	return c.Store.Validate()
}

func oneOf(name, value string, known []string) error {
	if slices.Contains(known, value) {
		return nil
	}
	return fmt.Errorf("checkpoint: config: %s is %q; expected one of %s", name, value, strings.Join(known, ", "))
}

// due tells whether a level is written in a round.
func due(every, round int) bool { return every > 0 && round%every == 0 }
