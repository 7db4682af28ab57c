package history

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"
	"unsafe"
)

func TestValuesAreOrderedByContentAlone(t *testing.T) {
	if n := unsafe.Sizeof(Value{}); n != 3*unsafe.Sizeof(uintptr(0)) {
		t.Errorf("a value takes %d bytes, want three words", n)
	}
	r := rand.New(rand.NewPCG(1, 1))
	equal := 0
	for range 100_000 {
		a, b, c := randomValue(r, 2), randomValue(r, 2), randomValue(r, 2)
		ab := a.Compare(b)
		if ab != -b.Compare(a) || (ab == 0) != a.Equal(b) || a.Equal(b) != (a.Kind() == b.Kind() && string(a.AppendJSON(nil)) == string(b.AppendJSON(nil))) {
			t.Fatalf("%s and %s compare as %d and %d, equal %v", a, b, ab, b.Compare(a), a.Equal(b))
		}
		if ab <= 0 && b.Compare(c) <= 0 && a.Compare(c) > 0 {
			t.Fatalf("%s, %s and %s are in no order", a, b, c)
		}
		if ab == 0 {
			equal++
		}
	}
	if equal < 1_000 {
		t.Errorf("only %d pairs were equal", equal)
	}
}

func TestValuesKeepWhatTheyHoldAlive(t *testing.T) {
	var vs []Value
	for i := range 1_000 {
		text := strings.Repeat("x", i%50)
		vs = append(vs, List(String(text), List(Keyword(text+"y"), Int(int64(i)))))
	}
	runtime.GC()
	for i, v := range vs {
		text := strings.Repeat("x", i%50)
		if !v.Equal(List(String(text), List(Keyword(text+"y"), Int(int64(i))))) {
			t.Fatalf("value %d became %s", i, v)
		}
	}
	for _, v := range []Value{String(""), List(), Set(), List([]Value{}...)} {
		if s, _ := v.AsString(); s != "" {
			t.Errorf("%s holds %q", v, s)
		}
		if list, _ := v.AsList(); len(list) != 0 {
			t.Errorf("%s holds %d values", v, len(list))
		}
	}
}
