package agent

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
)

// rules are the network rules in force in this network namespace.
//
// Each rule has a counter and, if it loses packets, a rule that dooms them in
// nftables (see firewall). Rules that delay or duplicate share one queue to
// user space (see queue), which adds up what all rules that match a packet do
// to it. Each rule decides on each packet on its link and counts, whatever the
// others decide and whatever the order in which they came.
type rules struct {
	mu      sync.Mutex
	fw      *firewall
	q       *queue
	inForce map[string]Rule
}

func newRules(port int) *rules {
	return &rules{fw: newFirewall(port), inForce: map[string]Rule{}}
}

// validate refuses rules that mean nothing.
func (r Rule) validate() error {
	if r.ID == "" || len(r.ID) > 100 {
		return fmt.Errorf("rule: the id %q is empty or longer than 100 bytes", r.ID)
	}
	if a, err := netip.ParseAddr(r.Peer); err != nil || !a.Is4() {
		return fmt.Errorf("rule %s: the peer %q is not an IPv4 address", r.ID, r.Peer)
	}
	if r.Direction != In && r.Direction != Out {
		return fmt.Errorf("rule %s: the direction %q is neither in nor out", r.ID, r.Direction)
	}
	for what, p := range map[string]int{"loss": r.Loss, "duplicate": r.Duplicate} {
		if p < 0 || p > million {
			return fmt.Errorf("rule %s: %s is %d, not in 0…1000000 millionths", r.ID, what, p)
		}
	}
	// Each by itself first: the sum may overflow.
	if r.Delay < 0 || r.Jitter < 0 || r.Delay > MaxDelay || r.Jitter > MaxDelay || r.Delay+r.Jitter > MaxDelay {
		return fmt.Errorf("rule %s: delay and jitter are %v and %v, not in 0…%v together", r.ID, r.Delay, r.Jitter, MaxDelay)
	}
	if r.Loss == 0 && !r.queued() {
		return fmt.Errorf("rule %s does nothing", r.ID)
	}
	return nil
}

const million = 1_000_000

// add puts rules in force, all or none. Rules with ids that are in force stay
// as they are, so that a request can be repeated.
func (rs *rules) add(list []Rule) error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var fresh []Rule
	twice := map[string]bool{}
	for _, r := range list {
		if err := r.validate(); err != nil {
			return err
		}
		if _, old := rs.inForce[r.ID]; !old && !twice[r.ID] {
			fresh = append(fresh, r)
		}
		twice[r.ID] = true
	}
	if len(rs.inForce)+len(fresh) > maxRules {
		return fmt.Errorf("rules: %d more would exceed the limit of %d in force", len(fresh), maxRules)
	}
	needQueue := false
	for _, r := range fresh {
		needQueue = needQueue || r.queued()
	}
	// The queue must have its listener before packets are sent to it.
	if needQueue && rs.q == nil {
		q, err := openQueue()
		if err != nil {
			return fmt.Errorf("rules: delay: %w", err)
		}
		rs.q = q
	}
	if rs.q != nil {
		rs.q.add(fresh)
	}
	if err := rs.fw.add(fresh); err != nil {
		if rs.q != nil {
			rs.q.remove(fresh)
		}
		return fmt.Errorf("rules: %w", err)
	}
	for _, r := range fresh {
		rs.inForce[r.ID] = r
	}
	return nil
}

// remove takes rules away and returns their final counts. Packets that the
// queue holds are let go at their time.
func (rs *rules) remove(ids []string) (map[string]Counts, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	var list []Rule
	for _, id := range ids {
		if r, ok := rs.inForce[id]; ok {
			list = append(list, r)
			delete(rs.inForce, id)
		}
	}
	if len(list) == 0 {
		return map[string]Counts{}, nil
	}
	counts, err := rs.countLocked(list)
	if err := errors.Join(err, rs.fw.remove(list)); err != nil {
		for _, r := range list {
			rs.inForce[r.ID] = r
		}
		return nil, fmt.Errorf("rules: %w", err)
	}
	if rs.q != nil {
		rs.q.remove(list)
	}
	return counts, nil
}

// counts returns what every rule in force did so far.
func (rs *rules) counts() (map[string]Counts, error) {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	list := make([]Rule, 0, len(rs.inForce))
	for _, r := range rs.inForce {
		list = append(list, r)
	}
	return rs.countLocked(list)
}

func (rs *rules) countLocked(list []Rule) (map[string]Counts, error) {
	out := make(map[string]Counts, len(list))
	if len(list) == 0 {
		return out, nil
	}
	kernel, err := rs.fw.counts()
	if err != nil {
		return nil, err
	}
	for _, r := range list {
		c := kernel[r.ID]
		if rs.q != nil {
			c = c.Add(rs.q.counts(r.ID))
		}
		out[r.ID] = c
	}
	return out, nil
}

// capabilities tries what each kind of impairment needs, in a table of its
// own that no packet passes.
func (rs *rules) capabilities() Capabilities {
	reason := func(err error) string {
		if err == nil {
			return ""
		}
		return err.Error()
	}
	var c Capabilities
	c.Cut = reason(errors.Join(tryRule(lossExprs(million)...), tryRule(dropDoomed()...)))
	c.Loss = c.Cut
	if c.Loss == "" {
		c.Loss = reason(tryRule(lossExprs(million / 2)...))
	}
	if c.Delay = c.Cut; c.Delay == "" {
		c.Delay = reason(errors.Join(tryRule(queueExpr()), rs.tryQueue()))
	}
	if c.Duplicate = c.Delay; c.Duplicate == "" {
		c.Duplicate = reason(tryRaw())
	}
	return c
}

// tryQueue opens the queue, unless it is open.
func (rs *rules) tryQueue() error {
	rs.mu.Lock()
	defer rs.mu.Unlock()
	if rs.q != nil {
		return nil
	}
	q, err := openQueue()
	if err != nil {
		return err
	}
	rs.q = q
	return nil
}
