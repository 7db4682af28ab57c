package checkpoint

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cleancut/cleancut/harness/node"
)

// wireEnv is an environment that keeps what is sent.
type wireEnv struct {
	node.Env
	now  time.Duration
	sent []Message
}

func (e *wireEnv) Now() time.Duration            { return e.now }
func (e *wireEnv) Send(_ string, m node.Message) { e.sent = append(e.sent, m.(Message)) }

// transport sends n messages through a network that loses, repeats and
// reorders both frames and acknowledgements, and returns what arrived.
func transport(seed uint64, n int) []uint64 {
	r := rand.New(rand.NewPCG(seed, 1))
	env := &wireEnv{}
	out, in := &outgoing{to: "n5"}, &incoming{from: "n4"}
	out.reset()
	in.reset()
	var frames []Message
	var acks []uint64
	var got []uint64
	for sent := 0; len(got) < n || len(out.queue) > 0; {
		env.now += time.Millisecond
		if sent < n {
			sent++
			out.add(env, 1, frame{msg: uint64(sent), data: []byte("x")})
		}
		frames = append(frames, env.sent...)
		env.sent = nil
		if len(frames) > 0 {
			i := r.IntN(len(frames))
			m := frames[i]
			if r.IntN(4) > 0 {
				frames = append(frames[:i], frames[i+1:]...)
			}
			if r.IntN(4) > 0 {
				in.take(m.seq, m.body)
				acks = append(acks, in.seq)
			}
		}
		for _, f := range in.pending {
			got = append(got, f.msg)
		}
		in.pending = nil
		if len(acks) > 0 && r.IntN(2) == 0 {
			i := r.IntN(len(acks))
			out.ack(env, 1, acks[i])
			acks = append(acks[:i], acks[i+1:]...)
		}
		out.resend(env, 1, 20*time.Millisecond)
		if env.now > time.Hour {
			return got
		}
	}
	return got
}

func TestChannelsDeliverOnceAndInOrderWhateverTheNetworkDoes(t *testing.T) {
	for seed := range uint64(20) {
		got := transport(seed, 300)
		if len(got) != 300 {
			t.Fatalf("seed %d: %d of 300 messages arrived", seed, len(got))
		}
		for i, n := range got {
			if n != uint64(i)+1 {
				t.Fatalf("seed %d: message %d arrived as number %d", seed, n, i+1)
			}
		}
	}
}

func TestAChannelHasABoundedNumberOfFramesOnTheirWay(t *testing.T) {
	env := &wireEnv{}
	out := &outgoing{to: "n5"}
	out.reset()
	for i := range 3 * window {
		out.add(env, 1, frame{msg: uint64(i) + 1})
	}
	if len(env.sent) != window {
		t.Errorf("%d frames are on their way, want %d", len(env.sent), window)
	}
	out.ack(env, 1, 10)
	if len(env.sent) != window+10 {
		t.Errorf("after 10 acknowledgements %d frames were sent, want %d", len(env.sent), window+10)
	}
	for _, stale := range []uint64{5, 1 << 40} {
		out.ack(env, 1, stale)
		if out.acked != 10 {
			t.Errorf("an acknowledgement of %d is believed", stale)
		}
	}
}

func TestAReceiverTakesNoMoreThanItCanHold(t *testing.T) {
	in := &incoming{from: "n4"}
	in.reset()
	body := frame{msg: 1}.append(nil)
	for seq := range uint64(2 * aheadMax) {
		in.take(seq+2, body)
	}
	if len(in.ahead) != aheadMax {
		t.Errorf("%d frames wait for their turn, want %d", len(in.ahead), aheadMax)
	}
}

func ExampleMessage() {
	fmt.Println(messageID("n4", "n5", 17))
	// Output: n4>n5#17
}
