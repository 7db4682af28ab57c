package store

import (
	"fmt"

	"go.etcd.io/raft/v3"

	"github.com/cleancut/cleancut/harness/node"
)

// logLinesMax bounds the lines that Raft logs per incarnation.
const logLinesMax = 2000

// logger takes what Raft logs to the node's log. Debug lines are dropped:
// there is one for almost every message.
type logger struct {
	env   node.Env
	lines int
}

var _ raft.Logger = (*logger)(nil)

func (l *logger) line(level, format string, v ...any) {
	l.lines++
	if l.lines < logLinesMax {
		l.env.Logf("raft "+level+": "+format, v...)
	} else if l.lines == logLinesMax {
		l.env.Logf("raft logged %d lines; the rest is dropped", logLinesMax)
	}
}

func (l *logger) Debug(...any)          {}
func (l *logger) Debugf(string, ...any) {}
func (l *logger) Info(v ...any)         { l.line("info", "%s", fmt.Sprint(v...)) }

// Infof drops one message: the second of two writes that make the same entry
// durable, which is the common case while a sync is on its way.
func (l *logger) Infof(format string, v ...any) {
	if format != "entry at index %d missing from unstable log; ignoring" {
		l.line("info", format, v...)
	}
}

func (l *logger) Warning(v ...any)               { l.line("warning", "%s", fmt.Sprint(v...)) }
func (l *logger) Warningf(f string, v ...any)    { l.line("warning", f, v...) }
func (l *logger) Error(v ...any)                 { l.line("error", "%s", fmt.Sprint(v...)) }
func (l *logger) Errorf(format string, v ...any) { l.line("error", format, v...) }
func (l *logger) Fatal(v ...any)                 { l.Panic(v...) }
func (l *logger) Fatalf(format string, v ...any) { l.Panicf(format, v...) }

// Panic ends the node: Raft has found that its invariants do not hold.
func (l *logger) Panic(v ...any) { panic("raft: " + fmt.Sprint(v...)) }

// Panicf is Panic with a format.
func (l *logger) Panicf(format string, v ...any) { panic("raft: " + fmt.Sprintf(format, v...)) }
