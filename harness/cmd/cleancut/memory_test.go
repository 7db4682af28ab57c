package main

import (
	"testing"
	"testing/fstest"
)

func TestTheMemoryOfAMachineIsThatOfItsControlGroup(t *testing.T) {
	const gib = 1 << 30
	file := func(text string) *fstest.MapFile { return &fstest.MapFile{Data: []byte(text)} }
	total := file("MemTotal:       8388608 kB\nMemFree:  1 kB\n")
	for name, c := range map[string]struct {
		root fstest.MapFS
		want int64
	}{
		"unknown":       {fstest.MapFS{}, unknownMemory},
		"machine":       {fstest.MapFS{"proc/meminfo": total}, 8 * gib},
		"no limit":      {fstest.MapFS{"proc/meminfo": total, "sys/fs/cgroup/memory.max": file("max\n")}, 8 * gib},
		"container":     {fstest.MapFS{"proc/meminfo": total, "sys/fs/cgroup/memory.max": file("1073741824\n")}, gib},
		"version 1":     {fstest.MapFS{"proc/meminfo": total, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("2147483648\n")}, 2 * gib},
		"without limit": {fstest.MapFS{"proc/meminfo": total, "sys/fs/cgroup/memory/memory.limit_in_bytes": file("9223372036854771712\n")}, 8 * gib},
		"a group above": {fstest.MapFS{
			"proc/meminfo": total, "proc/self/cgroup": file("0::/user/session\n"),
			"sys/fs/cgroup/user/memory.max": file("1073741824\n"), "sys/fs/cgroup/user/session/memory.max": file("max\n"),
		}, gib},
		"its own of version 1": {fstest.MapFS{
			"proc/meminfo": total, "proc/self/cgroup": file("5:cpu:/c\n4:memory:/a/b\n"),
			"sys/fs/cgroup/memory/a/b/memory.limit_in_bytes": file("1073741824\n"), "sys/fs/cgroup/memory/c/memory.limit_in_bytes": file("1\n"),
		}, gib},
	} {
		if got := machineMemory(c.root); got != c.want {
			t.Errorf("%s: %d bytes, want %d", name, got, c.want)
		}
	}
}
