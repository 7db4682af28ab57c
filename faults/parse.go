package faults

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Limits of what Parse accepts, so that no text makes a run without end.
const (
	planTextMax  = 64 << 10
	planStepsMax = 1000
	durationMax  = 24 * time.Hour
)

// Parse reads the text of a plan. An error names the step, the column in the
// text, and what was expected there.
func Parse(text string) (Plan, error) { return ParseOn(text, nil) }

// ParseOn is Parse for a cluster of which it is known already what it will have:
// names that it will not have are refused.
func ParseOn(text string, ground *Ground) (Plan, error) {
	if len(text) > planTextMax {
		return nil, fmt.Errorf("a plan of %d bytes is longer than %d", len(text), planTextMax)
	}
	var plan Plan
	begins := 0 // where the step begins in the text
	for i, part := range strings.Split(text, ";") {
		at := begins + len(part) - len(strings.TrimLeft(part, " \t\r\n"))
		begins += len(part) + 1
		if part = strings.TrimSpace(part); part == "" {
			continue
		}
		step, err := parseStep(part)
		if err == nil && step.When.Then && len(plan) == 0 {
			err = errors.New("\"then\" needs a step before it")
		}
		if err == nil {
			err = step.dangling()
		}
		if err == nil && ground != nil {
			err = ground.admits(step)
		}
		if err != nil {
			column := utf8.RuneCountInString(text[:at+placeOf(part, err)]) + 1
			return nil, fmt.Errorf("step %d, column %d, %q: %w", i+1, column, part, err)
		}
		plan = append(plan, step)
	}
	if len(plan) == 0 {
		return nil, errors.New("the plan is empty: expected steps such as \"at 2s kill(leader) for 1s\"")
	}
	if len(plan) > planStepsMax {
		return nil, fmt.Errorf("a plan of %d steps is longer than %d", len(plan), planStepsMax)
	}
	return plan, nil
}

// dangling returns an error if a step's victims refer to what it has not.
func (s Step) dangling() error {
	switch who := s.Fault.Victims(); {
	case who == "self" && s.When.Point == "":
		return errors.New("self is the node that tripped a trigger: it needs \"on POINT\"")
	case who == "same" && !s.When.Then:
		return errors.New("same are the victims of the step before: it needs \"then\"")
	case s.When.Of == "self" || s.When.Of == "same":
		return fmt.Errorf("of %s: expected nodes whose points count, such as leader or n1", s.When.Of)
	}
	return nil
}

// ParseFault reads the text of one fault.
func ParseFault(text string) (Fault, error) {
	name, rest, ok := strings.Cut(text, "(")
	args, closed := strings.CutSuffix(rest, ")")
	if !ok || !closed {
		return nil, fmt.Errorf("%q: expected a fault with its arguments in parentheses, such as kill(leader)", text)
	}
	d, err := Lookup(strings.TrimSpace(name))
	if err != nil {
		return nil, &misplaced{strings.TrimSpace(name), err}
	}
	list := strings.Split(args, ",")
	for i := range list {
		list[i] = strings.TrimSpace(list[i])
	}
	f, err := d.parse(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w (example: %s)", d.Name, err, d.Usage)
	}
	return f, nil
}

func parseStep(text string) (s Step, err error) {
	trigger, rest, err := parseTrigger(text)
	if err != nil {
		return s, err
	}
	s.When = trigger
	open := strings.IndexByte(rest, '(')
	end := strings.IndexByte(rest, ')')
	if open < 0 || end < open {
		return s, fmt.Errorf("%q: expected a fault with its arguments in parentheses, such as kill(leader)", rest)
	}
	if s.Fault, err = ParseFault(rest[:end+1]); err != nil {
		return s, err
	}
	words := strings.Fields(rest[end+1:])
	switch {
	case len(words) == 0:
		return s, nil
	case len(words) == 2 && words[0] == "for":
		s.For, err = parseDuration(words[1])
		if err == nil && s.For == 0 {
			err = errors.New("a fault for no time at all does nothing")
		}
		return s, err
	}
	return s, fmt.Errorf("%q: expected \"for DURATION\" or the end of the step", strings.Join(words, " "))
}

// parseTrigger reads a trigger and returns what follows it.
func parseTrigger(text string) (t Trigger, rest string, err error) {
	word, rest := nextWord(text)
	if word == "at" || word == "then" {
		t.Then = word == "then"
		argument, after := nextWord(rest)
		if t.After, err = parseDuration(argument); err != nil {
			return t, "", err
		}
		rest = after
		if word, _ = nextWord(rest); word != "maybe" && word != "on" {
			return t, rest, nil
		}
		word, rest = nextWord(rest)
	}
	if word == "maybe" {
		t.Maybe = true
		if word, rest = nextWord(rest); word != "on" {
			return t, "", errors.New("expected \"on\" after \"maybe\"")
		}
	}
	if word != "on" {
		return t, "", fmt.Errorf("%q: expected a trigger: \"at 2s\", \"on vote.granted#2\" or \"then 100ms\"", word)
	}
	argument, rest := nextWord(rest)
	if t.Point, t.Nth, err = parsePoint(argument); err != nil {
		return t, "", err
	}
	if word, after := nextWord(rest); word == "of" {
		argument, rest = nextWord(after)
		t.Of, err = parseWho(argument)
	}
	return t, rest, err
}

func parsePoint(s string) (name string, nth int, err error) {
	name, count, counted := strings.Cut(s, "#")
	nth = 1
	if counted {
		if nth, err = strconv.Atoi(count); err != nil || nth < 1 {
			return "", 0, fmt.Errorf("%q: expected a number from 1 after #", s)
		}
	}
	for i := range len(name) {
		if c := name[i]; c != '.' && c != '-' && (c < 'a' || c > 'z') {
			return "", 0, fmt.Errorf("%q: expected the name of a point, such as vote.granted", s)
		}
	}
	if name == "" || len(name) > 64 {
		return "", 0, fmt.Errorf("%q: expected the name of a point, such as vote.granted", s)
	}
	return name, nth, nil
}

func parseDuration(s string) (time.Duration, error) {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 || d > durationMax {
		return 0, fmt.Errorf("%q: expected a duration such as 500ms or 2s, at most %v", s, durationMax)
	}
	return d, nil
}

func nextWord(s string) (word, rest string) {
	s = strings.TrimSpace(s)
	if i := strings.IndexAny(s, " \t\n"); i >= 0 {
		return s[:i], strings.TrimSpace(s[i:])
	}
	return s, ""
}
