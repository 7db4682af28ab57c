package docker

import (
	"time"

	"github.com/cleancut/cleancut/harness/cluster"
)

// damages acts on the disk of n1, whose process reads its file at each start.
func damages(b bed) {
	write := func(text string) {
		b.boot("n1")
		if _, err := b.call("n1", "PUT /file?sync=1", text, 5*time.Second); err != nil {
			b.Fatal(err)
		}
	}
	restarted := func() string {
		must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1"))
		must[cluster.Receipt](b)(b.c.Start(b.ctx, "n1"))
		b.boot("n1")
		return must[string](b)(b.call("n1", "GET /file", "", time.Second))
	}
	write("what was written")
	before := restarted()
	b.wantCount(must[cluster.Receipt](b)(b.c.Rot(b.ctx, "n1", "dat*", 1, 7)), "bytes_flipped", 1, 1)
	rotten := restarted()
	if len(rotten) != len(before) || differing(rotten, before) != 1 {
		b.Errorf("after one byte rotted, %q became %q", before, rotten)
	}
	b.wantCount(must[cluster.Receipt](b)(b.c.Rot(b.ctx, "n1", "ckpt-*", 1, 7)), "bytes_flipped", 0, 0)
	b.wantCount(must[cluster.Receipt](b)(b.c.Truncate(b.ctx, "n1", "*", 7)), "files_damaged", 1, 1)
	if cut := restarted(); len(cut) >= len(before) {
		b.Errorf("a file of %d bytes that was cut has %d", len(before), len(cut))
	}

	rule := must[cluster.Rule](b)(b.c.SlowSync(b.ctx, "n1", time.Millisecond))
	write("slowly")
	b.eventually("a sync was counted as delayed", func() bool {
		return must[cluster.Receipt](b)(rule.Receipt(b.ctx)).Counts["syncs_delayed"] > 0
	})
	before = restarted()
	write("slowly, too")
	r := must[cluster.Receipt](b)(rule.Remove(b.ctx))
	write("fast")
	if again := must[cluster.Receipt](b)(rule.Remove(b.ctx)); again.Counts["syncs_delayed"] != r.Counts["syncs_delayed"] || r.Counts["syncs_delayed"] < 2 {
		b.Errorf("the removed rule counts %v, and then %v", r, again)
	}

	if _, err := b.c.Wipe(b.ctx, "n1"); err == nil {
		b.Error("the disk of a running process was wiped")
	}
	must[cluster.Receipt](b)(b.c.Kill(b.ctx, "n1"))
	b.wantCount(must[cluster.Receipt](b)(b.c.Wipe(b.ctx, "n1")), "files_wiped", 1, 1)
	if left := restarted(); left != "" {
		b.Errorf("after %q, a wiped disk holds %q", before, left)
	}
	write("anew")
}

func differing(a, b string) (n int) {
	for i := range a {
		if a[i] != b[i] {
			n++
		}
	}
	return n
}
