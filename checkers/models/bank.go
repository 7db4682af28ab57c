package models

import (
	"context"
	"fmt"
	"slices"

	"github.com/cleancut/cleancut/checkers"
	"github.com/cleancut/cleancut/harness/history"
)

// BankOptions say what is known of the accounts.
type BankOptions struct {
	// Total is the sum of all balances; nil takes that of the first ok read.
	Total *int64
	// Negative allows negative balances.
	Negative bool
}

// Bank judges snapshots of accounts between which money is transferred, as
// jepsen.tests.bank does: a read returns a map from accounts to balances (or a
// list of balances), and
//
//   - has the same accounts as the first ok read (*wrong accounts*),
//   - has a balance for each (*nil balance*),
//   - sums up to the total (*wrong total*),
//   - and has no negative balance, unless allowed (*negative balance*).
//
// Every history that is serializable or snapshot-isolated passes; valid says
// no more than that no read was torn: it does not check that transfers
// happened. Linear time. Keys are judged alone.
func Bank(o BankOptions) checkers.Checker {
	return judge("bank", "sums of snapshots", func(ctx context.Context, ops []history.Operation) judged {
		return perKey(ctx, ops, func(w *watch, ops []history.Operation) judged { return bank(w, ops, o) })
	})
}

// snapshot is what a read of accounts returned.
type snapshot struct {
	accounts, balances []history.Value
}

func snapshotOf(v history.Value) (s snapshot, ok bool) {
	if pairs, ok := v.AsMap(); ok {
		for _, p := range pairs {
			s.accounts, s.balances = append(s.accounts, p.Key), append(s.balances, p.Value)
		}
		return s, true
	}
	list, ok := sequence(v)
	for i := range list {
		s.accounts = append(s.accounts, history.Int(int64(i)))
	}
	s.balances = list
	return s, ok
}

func bank(w *watch, ops []history.Operation, options BankOptions) judged {
	var reference *history.Operation
	var expected snapshot
	var total int64
	worst, doubt, errors, reads := judged{}, judged{}, 0, 0
	for i := range ops {
		o := &ops[i]
		if o.F != Read || o.Outcome != history.OK {
			continue
		}
		if w.over(o.Output.Len()) {
			return unknown("time ran out after %s", plural(reads, "read"))
		}
		s, ok := snapshotOf(o.Output)
		if !ok {
			return unknown("a read returned %s; expected a map of balances", o.Output)
		}
		sum, why, far := s.sum()
		if far != "" {
			doubt = first(doubt, unknown("the read at event %d: %s", o.Call, far))
			continue
		}
		if reference == nil && why == "" {
			reference, expected, total = o, s, sum
			if options.Total != nil {
				total = *options.Total
			}
		}
		reads++
		class, summary := "nil balance", why
		if why == "" {
			class, summary = s.wrong(expected, sum, total, options)
		}
		if class == "" {
			continue
		}
		if errors++; worst.Verdict == "" {
			evidence := []history.Operation{*o}
			if class == "wrong accounts" || class == "wrong total" && options.Total == nil {
				evidence = append(evidence, *reference)
			}
			worst = invalid(class, summary, evidence...)
		}
	}
	m := map[string]float64{"reads": float64(reads), "errors": float64(errors)}
	switch {
	case worst.Verdict != "":
		return with(worst, m)
	case doubt.Verdict != "":
		return with(doubt, m)
	case reads == 0:
		return with(unknown("the accounts were never read"), m)
	}
	return with(valid("%s summed up to %d", every(reads, "read"), total), m)
}

// sum adds the balances, or says why it cannot: which one is nil, or is no
// integer that can be added.
func (s snapshot) sum() (total int64, why, far string) {
	for i, b := range s.balances {
		switch n, ok := b.AsInt(); {
		case b.IsNil() && why == "":
			why = fmt.Sprintf("a read has the balance nil for account %s", s.accounts[i])
		case b.IsNil():
		case !ok || n > maxAmount || n < -maxAmount:
			far = fmt.Sprintf("the balance %s of account %s cannot be judged; expected an integer of at most %d", b, s.accounts[i], int64(maxAmount))
		default:
			total += n
		}
	}
	return total, why, far
}

// maxAmount keeps sums of up to 2^22 balances within 64 bits.
const maxAmount = 1 << 40

func (s snapshot) wrong(expected snapshot, sum, total int64, o BankOptions) (class, summary string) {
	if !slices.EqualFunc(s.accounts, expected.accounts, history.Value.Equal) {
		return "wrong accounts", fmt.Sprintf("a read has the accounts %s, the first one had %s", few(s.accounts), few(expected.accounts))
	}
	if sum != total {
		return "wrong total", fmt.Sprintf("the balances of a read sum up to %d, expected are %d", sum, total)
	}
	for i, b := range s.balances {
		if n, _ := b.AsInt(); n < 0 && !o.Negative {
			return "negative balance", fmt.Sprintf("account %s has the negative balance %d", s.accounts[i], n)
		}
	}
	return "", ""
}
