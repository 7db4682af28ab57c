package linear

import (
	"fmt"

	"github.com/cleancut/cleancut/harness/history"
)

// tokened is an operation that was accepted with a token.
type tokened struct {
	token     int64
	operation history.Operation
}

// streamTokens is the state of a lock with fencing tokens. Tokens that are
// handed out, and those that are accepted, must not be less than what was known
// when the operation began; so the greatest of then is all that each needs to
// remember, and handed out ones must be new.
type streamTokens struct {
	newest map[string]*tokened // function → the greatest token so far
	handed map[int64]*tokened  // those that an acquire may still be told again
	open   map[*streamOp]struct{}
	swept  int
}

func newStreamTokens() *streamTokens {
	return &streamTokens{newest: map[string]*tokened{}, handed: map[int64]*tokened{}, open: map[*streamOp]struct{}{}}
}

const streamTokenBytes = 512

func (k *streamTokens) bytes() int64 {
	return streamTokenBytes * int64(len(k.handed)+len(k.open)+len(k.newest))
}

func (*streamTokens) pending(*streamOp) string { return "" }

func (k *streamTokens) invoke(o *streamOp) (reason string) {
	o.newest = k.newest[o.f]
	k.open[o] = struct{}{}
	return ""
}

func (k *streamTokens) complete(o *streamOp, e *history.Event) (found *finding, reason string) {
	delete(k.open, o)
	if e.Kind != history.OK || o.f == Release {
		return nil, ""
	}
	h := o.operation(e)
	v := &h.Output
	if o.f == Write {
		v = &h.Input
		if list, ok := v.AsList(); ok && len(list) > 0 {
			v = &list[0]
		}
	}
	token, ok := v.AsInt()
	if !ok {
		return nil, fmt.Sprintf("the %s at event %d: its token is %s; expected an integer", e.F, o.call, v)
	}
	if before := o.newest; before != nil && token < before.token {
		return &finding{class: OldToken, why: fmt.Sprintf("%s was over before with a greater token", before.operation), with: []history.Operation{before.operation}}, ""
	}
	x := &tokened{token, h}
	if o.f == Acquire {
		if before := k.handed[token]; before != nil {
			return &finding{class: Duplicate, why: fmt.Sprintf("%s was told the same token", before.operation), with: []history.Operation{before.operation}}, ""
		}
		k.handed[token] = x
	}
	if last := k.newest[o.f]; last == nil || token > last.token {
		k.newest[o.f] = x
	}
	k.sweep()
	return nil, ""
}

// sweep forgets tokens that are less than what every acquire must get.
func (k *streamTokens) sweep() {
	if len(k.handed) < sweepAtLeast || len(k.handed) < max(2*k.swept, len(k.open)) {
		return
	}
	least := k.newest[Acquire].token
	for o := range k.open {
		if o.f == Acquire && o.newest == nil {
			return
		}
		if o.f == Acquire {
			least = min(least, o.newest.token)
		}
	}
	for token := range k.handed {
		if token < least {
			delete(k.handed, token)
		}
	}
	k.swept = len(k.handed)
}
