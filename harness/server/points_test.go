package server

import (
	"bufio"
	"fmt"
	"net"
	"strings"
	"testing"
)

// pointed is a points port with a program that reaches a point when told to.
type pointed struct {
	t       *testing.T
	points  *points
	address string
}

func newPointed(t *testing.T) pointed {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	p := &points{}
	go p.accept(t.Context(), l)
	return pointed{t, p, l.Addr().String()}
}

// controller is the other end.
type controller struct {
	net.Conn
	t     *testing.T
	lines *bufio.Scanner
}

func (p pointed) dial() controller {
	conn, err := net.Dial("tcp", p.address)
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = conn.Close() })
	return controller{conn, p.t, bufio.NewScanner(conn)}
}

func (c controller) say(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		c.t.Fatal(err)
	}
}

func (c controller) hear(want string) {
	c.t.Helper()
	if !c.lines.Scan() || c.lines.Text() != want {
		c.t.Fatalf("heard %q (%v), want %q", c.lines.Text(), c.lines.Err(), want)
	}
}

// reach has the program reach a point; the channel closes when it goes on.
func (p pointed) reach(name string) <-chan struct{} {
	on := make(chan struct{})
	go func() {
		p.points.reach(name)
		close(on)
	}()
	return on
}

func TestAProgramStandsStillAtAnArmedPointAndNowhereElse(t *testing.T) {
	p := newPointed(t)
	<-p.reach("vote") // nothing is armed
	c := p.dial()
	c.say("arm vote")
	c.hear("armed vote")
	<-p.reach("sync")
	on := p.reach("vote")
	c.hear("at vote")
	select {
	case <-on:
		t.Fatal("the program went on by itself")
	default:
	}
	c.say("go")
	<-on
	again := p.reach("vote")
	c.hear("at vote")
	c.say("go")
	<-again
}

func TestAProgramGoesOnWhenWhoStoppedItHasGone(t *testing.T) {
	p := newPointed(t)
	c := p.dial()
	c.say("arm vote")
	c.hear("armed vote")
	on := p.reach("vote")
	c.hear("at vote")
	if err := c.Close(); err != nil {
		t.Fatal(err)
	}
	<-on
	<-p.reach("vote") // it is not armed any more
}

func TestTwoWhoArmedAPointBothLetItGoOn(t *testing.T) {
	p := newPointed(t)
	a, b := p.dial(), p.dial()
	for _, c := range []controller{a, b} {
		c.say("arm vote")
		c.hear("armed vote")
	}
	on := p.reach("vote")
	a.hear("at vote")
	a.say("go")
	b.hear("at vote")
	b.say("go")
	<-on
}

func TestWhatThePointsPortDoesNotUnderstandEndsTheConnection(t *testing.T) {
	for _, line := range []string{"arm", "disarm x", "go now", "", "GET / HTTP/1.1", "arm " + strings.Repeat("x", pointNameMax)} {
		c := newPointed(t).dial()
		c.say(line)
		if c.lines.Scan() {
			t.Errorf("%q was answered by %q", line, c.lines.Text())
		}
	}
	c := newPointed(t).dial()
	for i := range pointsArmedMax {
		c.say(fmt.Sprintf("arm p%d", i))
		c.hear(fmt.Sprintf("armed p%d", i))
	}
	c.say("arm one-too-many")
	if c.lines.Scan() {
		t.Errorf("one point too many was answered by %q", c.lines.Text())
	}
}
