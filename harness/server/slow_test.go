package server

import (
	"os"
	"path/filepath"
	"testing"
)

func TestSyncsThatAreDelayedAreCountedAndOthersAreNot(t *testing.T) {
	fl := newFlusher(t.TempDir(), t.TempDir(), newCompletions(), nil, 1)
	file := filepath.Join(t.TempDir(), "sync-delay")
	fl.slowBy(file)
	counted := func() int64 {
		info, err := os.Stat(file + delayedSuffix)
		if err != nil {
			return 0
		}
		return info.Size()
	}
	if err := fl.linger(); err != nil || counted() != 0 {
		t.Errorf("without a delay: %v, %d counted", err, counted())
	}
	for text, fails := range map[string]bool{"1000": false, "soon": true} {
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := fl.linger(); (err != nil) != fails {
			t.Errorf("with a delay of %q: %v", text, err)
		}
	}
	if counted() != 1 {
		t.Errorf("%d delayed syncs were counted, want 1", counted())
	}
	if err := os.WriteFile(file, []byte("3600000000000"), 0o644); err != nil {
		t.Fatal(err)
	}
	close(fl.quit)
	if err := fl.linger(); err != nil || counted() != 1 {
		t.Errorf("a flusher that was told to stop: %v, %d counted", err, counted())
	}
}
