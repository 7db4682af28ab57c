package checkpoint

import (
	"bytes"
	"reflect"
	"testing"
)

func samples() []Message {
	f := frame{msg: 3, data: []byte("payload")}
	return []Message{
		{kind: frameMessage, epoch: 2, seq: 7, body: f.append(nil)},
		{kind: frameMessage, epoch: 2, seq: 8, body: frame{marker: true, round: 4}.append(nil)},
		{kind: frameAck, epoch: 2, seq: 7},
		{kind: beatMessage, body: beat{boot: 1 << 60, number: 2, state: running, epoch: 3, units: -1, digest: "d", value: 9}.append(nil)},
		{kind: orderMessage, body: order{version: 9, epoch: 3, phase: computing, pending: 5, begun: 5, committed: []int{3, 4}}.append(nil)},
		{kind: beatMessage, body: beat{boot: 1, number: 2, state: frozen, epoch: 3, counts: counts{[]uint64{4}, []uint64{5, 6}}}.append(nil)},
		{kind: orderMessage, body: order{version: 9, phase: gathering, ward: []int{2}, stay: true, lost: true, boot: 1 << 60, shown: 3, covered: []uint64{0, 7}}.append(nil)},
		{kind: callMessage, seq: 5, body: call{op: callList, epoch: 1, round: 2, data: []byte("x")}.append(nil)},
		{kind: partnerPut, epoch: 1, round: 2, body: []byte("part")},
		{kind: partnerPart, seq: 1, round: 2, found: true, body: []byte("part")},
		{kind: callMessage, seq: 4, body: call{op: callPut, epoch: 1, round: 2, pieces: 1, data: []byte("x")}.append(nil)},
		{kind: callAnswer, seq: 4, found: true},
	}
}

func TestMessagesSurviveTheirEncoding(t *testing.T) {
	for _, m := range samples() {
		b, err := m.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		got, err := decodeMessage(b)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("kind %d: got %+v, %v; want %+v", m.kind, got, err, m)
		}
	}
}

func TestMalformedMessagesAreRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"nothing":                {},
		"no such kind":           {99, 0, 0, 0, 0},
		"cut off":                {byte(frameAck), 1},
		"a number not shortest":  {byte(frameAck), 0x81, 0, 0, 0, 0},
		"a truth value of 2":     {byte(frameAck), 0, 0, 0, 2},
		"a frame without body":   {byte(frameMessage), 1, 0, 1, 0},
		"a beat without body":    {byte(beatMessage), 0, 0, 0, 0},
		"an order of no phase":   append([]byte{byte(orderMessage), 0, 0, 0, 0}, order{version: 1}.append(nil)...),
		"rounds out of order":    append([]byte{byte(orderMessage), 0, 0, 0, 0}, order{version: 1, phase: computing, committed: []int{4, 3}}.append(nil)...),
		"a piece beyond the end": append([]byte{byte(callMessage), 0, 0, 1, 0}, call{op: callPut, piece: 1, pieces: 1}.append(nil)...),
	} {
		if m, err := decodeMessage(b); err == nil {
			t.Errorf("%s: decoded as %+v", name, m)
		}
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for _, m := range samples() {
		b, _ := m.AppendBinary(nil)
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := decodeMessage(b)
		if err != nil || m.kind == storeMessage {
			return
		}
		again, err := m.AppendBinary(nil)
		if err != nil || !bytes.Equal(again, b) {
			t.Errorf("%x decodes, and encodes as %x (%v)", b, again, err)
		}
	})
}

func samplePart() *part {
	return &part{
		round: 4, state: []byte("state"), outs: []uint64{1, 2}, ins: []uint64{3, 4},
		channel: [][]frame{{{msg: 4, data: []byte("m")}}, nil},
		closed:  3, logs: [][]frame{{{msg: 2, index: 1, data: []byte("l")}}, nil}, index: 5, steps: 6, logged: 7,
		outputs: []output{{"o1", []byte("x")}}, txns: []txn{{round: 3, outputs: []output{{"o0", nil}}}},
	}
}

func TestPartsSurviveTheirEncoding(t *testing.T) {
	p := samplePart()
	got, err := decodePart(p.encode())
	if err != nil || !reflect.DeepEqual(got, p) {
		t.Errorf("got %+v, %v; want %+v", got, err, p)
	}
}

func FuzzDecodePart(f *testing.F) {
	f.Add(samplePart().encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		if p, err := decodePart(b); err == nil && !bytes.Equal(p.encode(), b) {
			t.Errorf("%x decodes, and encodes as %x", b, p.encode())
		}
	})
}

func TestASealShowsEveryDamagedBit(t *testing.T) {
	whole := seal("n4", 7, 0, []byte("payload"))
	if base, payload, err := unseal(whole, "n4", 7, true); base != 0 || string(payload) != "payload" || err != nil {
		t.Fatalf("an intact part: %d, %q, %v", base, payload, err)
	}
	for i := range whole {
		for bit := range 8 {
			b := bytes.Clone(whole)
			b[i] ^= 1 << bit
			if _, _, err := unseal(b, "n4", 7, true); err == nil {
				t.Errorf("bit %d of byte %d is damaged, and nobody notices", bit, i)
			}
		}
		if _, _, err := unseal(whole[:i], "n4", 7, true); err == nil {
			t.Errorf("a part cut off after %d bytes is accepted", i)
		}
	}
	if _, _, err := unseal(whole, "n5", 7, true); err == nil {
		t.Error("the part of another worker is accepted")
	}
	if _, _, err := unseal(whole, "n4", 8, true); err == nil {
		t.Error("the part of another round is accepted")
	}
}

func TestADeltaAndItsBaseGiveTheWhole(t *testing.T) {
	base := bytes.Repeat([]byte("abcdefgh"), 40)
	for name, next := range map[string][]byte{
		"nothing changed": base,
		"one byte":        append([]byte("X"), base[1:]...),
		"longer":          append(bytes.Clone(base), "more"...),
		"shorter":         base[:100],
		"empty":           {},
	} {
		got, ok := applyDelta(base, delta(base, next))
		if !ok || !bytes.Equal(got, next) {
			t.Errorf("%s: got %q, %v", name, got, ok)
		}
	}
	if d := delta(base, base); len(d) > 4 {
		t.Errorf("a delta of nothing has %d bytes", len(d))
	}
	if _, ok := applyDelta(base, []byte{200, 1, 9}); ok {
		t.Error("a delta with a block beyond its end is applied")
	}
}
