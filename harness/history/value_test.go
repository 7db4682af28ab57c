package history

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
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

// TestListsOfIntegersAreTheSameHoweverTheyWereMade makes the same lists and
// sets by the constructors, by the builder and by the parser, and compares what
// reads them with the elements one by one.
func TestListsOfIntegersAreTheSameHoweverTheyWereMade(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 1))
	var reader ListReader
	var before Value
	var packed, begins int
	for range 50_000 {
		vs := make([]Value, r.IntN(7))
		integers := true
		for i := range vs {
			vs[i] = Int([]int64{1, 2, 3, math.MinInt64, math.MaxInt64}[r.IntN(5)])
			if r.IntN(20) == 0 {
				vs[i], integers = randomValue(r, 1), false
			}
		}
		list, set := reader.Begin(), reader.Begin()
		for _, v := range vs {
			list.Add(v)
			set.Add(v)
		}
		for _, made := range [2][2]Value{{List(slices.Clone(vs)...), list.List()}, {Set(slices.Clone(vs)...), set.Set()}} {
			v, again := made[0], Nil
			if err := again.UnmarshalJSON(v.AppendJSON(nil)); err != nil {
				t.Fatal(err)
			}
			for _, w := range []Value{made[1], again} {
				if !v.Equal(w) || v.Compare(w) != 0 || v.String() != w.String() || v.packed != w.packed || !v.Begins(w) {
					t.Fatalf("%s and %s differ", v, w)
				}
			}
			elements, _ := v.AsList()
			if ns, ok := v.Ints(); ok {
				packed++
				for i, n := range ns {
					if !elements[i].Equal(Int(n)) {
						t.Fatalf("%s has the integers %d", v, ns)
					}
				}
			} else if v.Kind() == KindList && integers && len(vs) >= packedMin {
				t.Fatalf("%s is not packed", v)
			}
			if v.Len() != len(elements) {
				t.Fatalf("%s has %d elements and a length of %d", v, len(elements), v.Len())
			}
			for i, e := range v.Elements() {
				if !e.Equal(elements[i]) || !e.Equal(v.At(i)) {
					t.Fatalf("element %d of %s is %s", i, v, e)
				}
			}
			old, _ := before.AsList()
			is := len(old) <= len(elements) && slices.EqualFunc(old, elements[:min(len(old), len(elements))], Value.Equal)
			if v.Begins(before) != is {
				t.Fatalf("%s begins with %s: %v, want %v", v, before, !is, is)
			}
			if want := slices.CompareFunc(elements, old, Value.Compare); v.Kind() == before.Kind() && v.Compare(before) != want {
				t.Fatalf("%s and %s compare as %d, want %d", v, before, v.Compare(before), want)
			}
			if is && len(old) > 0 {
				begins++
			}
			if before = v; len(elements) > 0 && r.IntN(2) == 0 {
				before = List(elements[:r.IntN(len(elements))]...)
			}
		}
	}
	if packed < 10_000 || begins < 1_000 {
		t.Errorf("%d packed, %d began with another", packed, begins)
	}
}

func TestElementsOfWhatHasNone(t *testing.T) {
	m, _ := Map(Pair{Int(1), Int(2)})
	for _, v := range []Value{Nil, Int(3), String("abc"), m, List(), Set()} {
		for range v.Elements() {
			t.Errorf("%s has elements", v)
		}
		if _, ok := v.Ints(); ok || v.Len() != 0 || v.IsList() != (v.Kind() == KindList || v.Kind() == KindSet) {
			t.Errorf("%s has elements", v)
		}
	}
	defer func() {
		if recover() == nil {
			t.Error("a string has an element")
		}
	}()
	String("abc").At(0)
}

func TestValuesKeepWhatTheyHoldAlive(t *testing.T) {
	var vs []Value
	for i := range 1_000 {
		text := strings.Repeat("x", i%50)
		vs = append(vs, List(String(text), List(Keyword(text+"y"), Int(int64(i))), List(Int(1), Int(2), Int(int64(i)))))
	}
	runtime.GC()
	for i, v := range vs {
		text := strings.Repeat("x", i%50)
		if !v.Equal(List(String(text), List(Keyword(text+"y"), Int(int64(i))), List(Int(1), Int(2), Int(int64(i))))) {
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
