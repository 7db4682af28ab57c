package checkpoint

import "encoding/binary"

// appendBytes appends p with its length before it.
func appendBytes(b, p []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p)))
	return append(b, p...)
}

// appendString is appendBytes for strings.
func appendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// reader takes values off the front of b. After the first one that is not
// there it has failed, and returns zeros; the caller looks at done once, at
// the end.
type reader struct {
	b      []byte
	failed bool
}

func (r *reader) fail() { r.failed, r.b = true, nil }

// done reports whether all was read, and nothing is left.
func (r *reader) done() bool { return !r.failed && len(r.b) == 0 }

func (r *reader) byte() byte {
	if len(r.b) < 1 {
		r.fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// uvarint accepts the shortest form only, so that equal values have equal
// encodings.
func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// number reads a count, position or name that fits into 31 bits.
func (r *reader) number() int {
	v := r.uvarint()
	if v > 1<<31-1 {
		r.fail()
		return 0
	}
	return int(v)
}

func (r *reader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (r *reader) bool() bool {
	v := r.byte()
	if v > 1 {
		r.fail()
	}
	return v == 1
}

// bytes returns a slice of the input, nil if it is empty.
func (r *reader) bytes() []byte {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

func (r *reader) string() string { return string(r.bytes()) }

// count reads the length of a list whose elements take at least size bytes
// each, so that a forged length cannot make the caller allocate more than
// the input deserves.
func (r *reader) count(size int) int {
	n := r.uvarint()
	if n > uint64(len(r.b)/size) {
		r.fail()
		return 0
	}
	return int(n)
}

func appendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// appendNumbers appends a list with its length before it.
func appendNumbers(b []byte, list []uint64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for _, n := range list {
		b = binary.AppendUvarint(b, n)
	}
	return b
}

func (r *reader) numbers() (list []uint64) {
	for range r.count(1) {
		list = append(list, r.uvarint())
	}
	return list
}

// ascending reads names of checkpoints, each higher than the one before.
func (r *reader) ascending() (list []int) {
	for range r.count(1) {
		n := r.number()
		if k := len(list); n == 0 || k > 0 && n <= list[k-1] {
			r.fail()
		}
		list = append(list, n)
	}
	return list
}

func (c counts) append(b []byte) []byte { return appendNumbers(appendNumbers(b, c.sent), c.received) }

func (r *reader) counts() counts { return counts{r.numbers(), r.numbers()} }
