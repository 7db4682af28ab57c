// Package wire writes and reads the binary forms of messages, states and
// files: numbers as varints, and bytes with their length before them. Equal
// values have equal forms, for only the shortest form of a number is read.
//
// A Reader never panics, and never lets a forged length make its caller
// allocate more than the input deserves. The package checks nothing else: no
// versions, no checksums.
package wire

import "encoding/binary"

// AppendBytes appends p with its length before it.
func AppendBytes(b, p []byte) []byte {
	b = binary.AppendUvarint(b, uint64(len(p)))
	return append(b, p...)
}

// AppendString is AppendBytes for strings.
func AppendString(b []byte, s string) []byte {
	b = binary.AppendUvarint(b, uint64(len(s)))
	return append(b, s...)
}

// AppendBool appends 1 or 0.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// Reader takes values off the front of bytes. After the first one that is not
// there it has failed and returns zeros; its user looks at Done once, at the
// end.
type Reader struct {
	b      []byte
	failed bool
}

// Over returns a reader of b, which must not change while what was read from
// it is in use.
func Over(b []byte) Reader { return Reader{b: b} }

// Fail makes the reader fail: what was read makes no sense.
func (r *Reader) Fail() { r.failed, r.b = true, nil }

// Failed tells that something was not there.
func (r *Reader) Failed() bool { return r.failed }

// Done tells that all was there, and nothing is left.
func (r *Reader) Done() bool { return !r.failed && len(r.b) == 0 }

// Left is how many bytes are left.
func (r *Reader) Left() int { return len(r.b) }

// Rest takes all that is left.
func (r *Reader) Rest() []byte {
	b := r.b
	r.b = nil
	return b
}

// Take takes the next n bytes.
func (r *Reader) Take(n int) []byte {
	if n < 0 || n > len(r.b) {
		r.Fail()
		return nil
	}
	v := r.b[:n:n]
	r.b = r.b[n:]
	return v
}

// Byte takes a byte.
func (r *Reader) Byte() byte {
	if len(r.b) < 1 {
		r.Fail()
		return 0
	}
	v := r.b[0]
	r.b = r.b[1:]
	return v
}

// Bool takes what AppendBool appended.
func (r *Reader) Bool() bool {
	v := r.Byte()
	if v > 1 {
		r.Fail()
	}
	return v == 1
}

// Uvarint takes a number in its shortest form.
func (r *Reader) Uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.Fail()
		return 0
	}
	r.b = r.b[n:]
	return v
}

// Varint takes a signed number in its shortest form.
func (r *Reader) Varint() int64 {
	v := r.Uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// Max takes a number that is at most limit.
func (r *Reader) Max(limit int64) int64 {
	v := r.Uvarint()
	if v > uint64(limit) {
		r.Fail()
		return 0
	}
	return int64(v)
}

// Number takes a count, position or name that fits into 31 bits.
func (r *Reader) Number() int { return int(r.Max(1<<31 - 1)) }

// Uint64 takes eight bytes, the lowest first.
func (r *Reader) Uint64() uint64 {
	if len(r.b) < 8 {
		r.Fail()
		return 0
	}
	v := binary.LittleEndian.Uint64(r.b)
	r.b = r.b[8:]
	return v
}

// Bytes takes what AppendBytes appended: a slice of the input, nil if it is
// empty.
func (r *Reader) Bytes() []byte {
	n := r.Uvarint()
	if n > uint64(len(r.b)) {
		r.Fail()
		return nil
	}
	if n == 0 {
		return nil
	}
	return r.Take(int(n))
}

// Text takes what AppendString appended.
func (r *Reader) Text() string { return string(r.Bytes()) }

// Count takes the length of a list whose elements take at least size bytes
// each.
func (r *Reader) Count(size int) int {
	n := r.Uvarint()
	if n > uint64(len(r.b)/size) {
		r.Fail()
		return 0
	}
	return int(n)
}
