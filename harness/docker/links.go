package docker

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/cleancut/cleancut/harness/agent"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/rng"
)

// removeTimeout bounds how long taking back a rule that failed half way may
// take; it must not depend on the context that may have made it fail.
const removeTimeout = 5 * time.Second

// CanImpair says whether this kernel can do it.
func (c *Cluster) CanImpair(i cluster.Impairment) error {
	if err := checkImpairment(i); err != nil {
		return err
	}
	for _, need := range []struct {
		wanted bool
		what   string
		why    string
	}{
		{i.Loss == cluster.Million, "cutting links", c.can.Cut},
		{i.Loss > 0 && i.Loss < cluster.Million, "packet loss", c.can.Loss},
		{i.Delay > 0 || i.Jitter > 0, "packet delay", c.can.Delay},
		{i.Duplicate > 0, "packet duplication", c.can.Duplicate},
	} {
		if need.wanted && need.why != "" {
			return fmt.Errorf("docker: %s is %w in these containers: %s", need.what, cluster.ErrUnavailable, need.why)
		}
	}
	return nil
}

func checkImpairment(i cluster.Impairment) error {
	switch {
	case i.Loss < 0 || i.Loss > cluster.Million || i.Duplicate < 0 || i.Duplicate > cluster.Million:
		return fmt.Errorf("docker: loss %d and duplication %d must be in 0…%d millionths", i.Loss, i.Duplicate, cluster.Million)
	case i.Delay < 0 || i.Jitter < 0 || i.Delay > agent.MaxDelay || i.Jitter > agent.MaxDelay || i.Delay+i.Jitter > agent.MaxDelay:
		return fmt.Errorf("docker: delay %v and jitter %v must be in 0…%v together", i.Delay, i.Jitter, agent.MaxDelay)
	case i == cluster.Impairment{}:
		return errors.New("docker: an impairment that does nothing was asked for")
	}
	return nil
}

// Impair puts a rule on links. Each is enforced in one container: where its
// packets arrive, or for packets to the clients where they leave.
func (c *Cluster) Impair(ctx context.Context, links []cluster.Link, i cluster.Impairment) (cluster.Rule, error) {
	if err := c.CanImpair(i); err != nil {
		return nil, err
	}
	if len(links) == 0 {
		return nil, errors.New("docker: a rule for no link at all was asked for")
	}
	c.mu.Lock()
	c.lastRule++
	r := &rule{c: c, name: fmt.Sprintf("r%d", c.lastRule), ids: map[*machine][]string{}}
	c.mu.Unlock()
	rules := map[*machine][]agent.Rule{}
	for _, l := range slices.Compact(slices.SortedFunc(slices.Values(links), compareLinks)) {
		m, ar, err := c.agentRule(r.name, l, i)
		if err != nil {
			return nil, err
		}
		rules[m] = append(rules[m], ar)
		r.ids[m] = append(r.ids[m], ar.ID)
	}
	if err := each(r.ids, func(m *machine, _ []string) error { return m.addRules(ctx, rules[m]) }); err != nil {
		undo, cancel := context.WithTimeout(context.WithoutCancel(ctx), removeTimeout)
		defer cancel()
		_, removed := r.Remove(undo)
		return nil, errors.Join(err, removed)
	}
	return r, nil
}

func compareLinks(a, b cluster.Link) int {
	switch {
	case a == b:
		return 0
	case a.From < b.From || a.From == b.From && a.To < b.To:
		return -1
	default:
		return 1
	}
}

// agentRule says in which container and how a link's rule is enforced.
func (c *Cluster) agentRule(name string, l cluster.Link, i cluster.Impairment) (*machine, agent.Rule, error) {
	ar := agent.Rule{
		ID: name + "/" + l.String(), Direction: agent.In, Peer: c.lan.gateway.String(),
		Loss: i.Loss, Delay: i.Delay, Jitter: i.Jitter, Duplicate: i.Duplicate,
		Seed: rng.Derive(c.spec.Seed, "link/"+l.String()),
	}
	if l.From == l.To {
		return nil, ar, fmt.Errorf("docker: the link %s has only one end", l)
	}
	var from, to *machine
	var err error
	if l.From != cluster.ClientEnd {
		if from, err = c.machine(l.From); err != nil {
			return nil, ar, err
		}
	}
	if l.To != cluster.ClientEnd {
		if to, err = c.machine(l.To); err != nil {
			return nil, ar, err
		}
	}
	if to == nil {
		ar.Direction = agent.Out
		return from, ar, nil
	}
	if from != nil {
		ar.Peer = from.ip
	}
	return to, ar, nil
}

// addRules puts rules in force; on a machine that is off, as soon as it
// starts.
func (m *machine) addRules(ctx context.Context, rules []agent.Rule) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if !m.down.Load() {
		if err := m.agent.AddRules(ctx, rules); err != nil {
			return fmt.Errorf("docker: network rules of %s: %w", m.name, err)
		}
	}
	for _, r := range rules {
		m.rules[r.ID] = r
	}
	return nil
}

// removeRules takes rules away and returns what they did altogether.
func (m *machine) removeRules(ctx context.Context, ids []string) (agent.Counts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var sum agent.Counts
	if !m.down.Load() {
		var counts map[string]agent.Counts
		err := m.insist(ctx, func() (err error) { counts, err = m.agent.RemoveRules(ctx, ids); return err })
		if err != nil {
			return sum, fmt.Errorf("docker: network rules of %s: %w", m.name, err)
		}
		for _, n := range counts {
			sum = sum.Add(n)
		}
	}
	for _, id := range ids {
		sum = sum.Add(m.base[id])
		delete(m.base, id)
		delete(m.rules, id)
	}
	return sum, nil
}

// ruleCounts returns what rules did so far altogether.
func (m *machine) ruleCounts(ctx context.Context, ids []string) (agent.Counts, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var live map[string]agent.Counts
	if !m.down.Load() {
		var err error
		if live, err = m.agent.RuleCounts(ctx); err != nil {
			return agent.Counts{}, fmt.Errorf("docker: network rules of %s: %w", m.name, err)
		}
	}
	var sum agent.Counts
	for _, id := range ids {
		sum = sum.Add(m.base[id]).Add(live[id])
	}
	return sum, nil
}

// rule is an impairment in force.
type rule struct {
	c    *Cluster
	name string
	ids  map[*machine][]string // what is left to be removed

	mu  sync.Mutex
	sum agent.Counts // of what was removed
}

var _ cluster.Rule = (*rule)(nil)

func (r *rule) Receipt(ctx context.Context) (cluster.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	sum := r.sum
	var mu sync.Mutex
	err := each(r.ids, func(m *machine, ids []string) error {
		n, err := m.ruleCounts(ctx, ids)
		mu.Lock()
		defer mu.Unlock()
		sum = sum.Add(n)
		return err
	})
	if err != nil {
		return cluster.Receipt{}, err
	}
	return receipt(sum), nil
}

// Remove takes the rule away. If that fails on some machines it can be tried
// again.
func (r *rule) Remove(ctx context.Context) (cluster.Receipt, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var mu sync.Mutex
	var done []*machine
	err := each(r.ids, func(m *machine, ids []string) error {
		n, err := m.removeRules(ctx, ids)
		if err != nil {
			return err
		}
		mu.Lock()
		defer mu.Unlock()
		r.sum = r.sum.Add(n)
		done = append(done, m)
		return nil
	})
	for _, m := range done {
		delete(r.ids, m)
	}
	if err != nil {
		return cluster.Receipt{}, err
	}
	return receipt(r.sum), nil
}

// receipt names counts as package cluster documents them.
func receipt(n agent.Counts) cluster.Receipt {
	var r cluster.Receipt
	r.Count("packets_seen", n.Seen)
	for name, v := range map[string]int64{
		"packets_dropped": n.Dropped, "packets_delayed": n.Delayed, "packets_duplicated": n.Duplicated,
	} {
		if v > 0 {
			r.Count(name, v)
		}
	}
	return r
}

// each does something for several machines at once.
func each(ids map[*machine][]string, f func(m *machine, ids []string) error) error {
	var wait sync.WaitGroup
	var mu sync.Mutex
	var errs []error
	for m, list := range ids {
		wait.Go(func() {
			if err := f(m, list); err != nil {
				mu.Lock()
				defer mu.Unlock()
				errs = append(errs, err)
			}
		})
	}
	wait.Wait()
	return errors.Join(errs...)
}
