package edn

import (
	"bytes"
	"testing"

	"github.com/cleancut/cleancut/harness/history"
)

func BenchmarkRead(b *testing.B) {
	var events []history.Event
	for i := range int64(20_000) {
		events = append(events, history.Event{Index: i, Kind: history.EventKind(i % 2), F: "write", Key: "k1", Value: history.Int(i / 2)})
	}
	var text bytes.Buffer
	if err := Write(&text, events); err != nil {
		b.Fatal(err)
	}
	b.SetBytes(int64(text.Len()))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := Read(bytes.NewReader(text.Bytes()), Options{Independent: true}); err != nil {
			b.Fatal(err)
		}
	}
}
