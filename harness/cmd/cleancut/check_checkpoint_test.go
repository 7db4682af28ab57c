package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	. "github.com/onsi/gomega"

	"github.com/cleancut/cleancut/checkers/recovery"
)

// readmeExample is the record that the documentation of the format shows.
func readmeExample(t *testing.T) string {
	t.Helper()
	b, err := os.ReadFile("../../record/README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(b), "```jsonl\n")
	example, _, closed := strings.Cut(rest, "```")
	if !ok || !closed {
		t.Fatal("the README has no example in jsonl")
	}
	return example
}

func TestTheDocumentedRecordIsJudgedAsDocumented(t *testing.T) {
	g := NewWithT(t)
	dir := t.TempDir()
	good, bad, broken := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "orphan.jsonl"), filepath.Join(dir, "broken.jsonl")
	example := readmeExample(t)
	g.Expect(os.WriteFile(good, []byte(example), 0o600)).To(Succeed())
	// The change that the README describes: b's checkpoint before the send.
	lines := strings.SplitAfter(example, "\n")
	send, ckpt := index(lines, `"kind":"send"`), index(lines, `"proc":"a","inc":1,"kind":"ckpt_begin"`)
	moved := append([]string(nil), lines...)
	moved[send], moved[ckpt] = strings.Replace(lines[ckpt], `"t":5`, `"t":3`, 1), strings.Replace(lines[send], `"t":3`, `"t":5`, 1)
	g.Expect(os.WriteFile(bad, []byte(strings.Join(moved, "")), 0o600)).To(Succeed())
	g.Expect(os.WriteFile(broken, []byte(strings.Replace(example, `"kind":"send"`, `"kind":"sent"`, 1)), 0o600)).To(Succeed())

	said := cleancut(t, "check", good, "--workload", "checkpoint", "--model", "consistent-cut,atomic-rounds,recovery-line,restorable,terminates")
	g.Expect(said.code).To(Equal(exitValid), said.out+said.err)
	said = cleancut(t, "check", good, "--workload", "checkpoint")
	g.Expect(said.code).To(Equal(exitValid), said.out+said.err)
	said = cleancut(t, "check", bad, "--workload", "checkpoint")
	g.Expect(said.code).To(Equal(exitInvalid), said.out+said.err)
	g.Expect(said.out).To(ContainSubstring("is no consistent cut: b's checkpoint b1 has received the message a>b#1, and a's checkpoint a1 has not sent it"))
	said = cleancut(t, "check", bad, "--workload", "checkpoint", "--model", "all", "--json")
	g.Expect(said.code).To(Equal(exitInvalid), said.out+said.err)
	result := only(t, said.out)
	g.Expect(result.Checkers).To(HaveLen(len(recovery.Names())))
	said = cleancut(t, "check", good, "--workload", "checkpoint", "--model", "exactly-once")
	g.Expect(said.code).To(Equal(exitInconclusive), said.out+said.err)
	said = cleancut(t, "check", broken, "--workload", "checkpoint")
	g.Expect(said.code).To(Equal(exitUsage))
	g.Expect(said.err).To(ContainSubstring(`line 3: kind: "sent" is no kind of event`))
	said = cleancut(t, "check", good, "--workload", "checkpoint", "--model", "nonsense")
	g.Expect(said.code).To(Equal(exitUsage))
	g.Expect(said.err).To(ContainSubstring(`no model "nonsense" of recovery`))

	listed := cleancut(t, "list", "models")
	for _, name := range recovery.Names() {
		g.Expect(listed.out).To(ContainSubstring(name))
	}
}

func index(lines []string, part string) int {
	for i, line := range lines {
		if strings.Contains(line, part) {
			return i
		}
	}
	return -1
}
