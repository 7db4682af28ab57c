package wire

import (
	"bytes"
	"encoding/binary"
	"testing"
)

func form() []byte {
	b := AppendBytes(nil, []byte("bytes"))
	b = AppendString(b, "text")
	b = AppendBool(b, true)
	b = binary.AppendUvarint(b, 300)
	b = binary.AppendVarint(b, -300)
	b = binary.LittleEndian.AppendUint64(b, 1<<63)
	b = binary.AppendUvarint(b, 2) // a list of two
	return append(b, 7, 8)
}

func TestWhatWasWrittenIsRead(t *testing.T) {
	r := Over(form())
	if string(r.Bytes()) != "bytes" || r.Text() != "text" || !r.Bool() || r.Uvarint() != 300 || r.Varint() != -300 || r.Uint64() != 1<<63 ||
		r.Count(1) != 2 || r.Byte() != 7 || r.Left() != 1 || r.Max(8) != 8 || !r.Done() {
		t.Errorf("read something else: %+v", r)
	}
}

func TestNothingThatIsCutOffOrForgedIsRead(t *testing.T) {
	whole := form()
	for n := range whole {
		r := Over(whole[:n])
		_, _, _, _, _, _ = r.Bytes(), r.Text(), r.Bool(), r.Uvarint(), r.Varint(), r.Uint64()
		for range r.Count(1) {
			r.Byte()
		}
		if r.Done() {
			t.Errorf("the first %d bytes are whole", n)
		}
	}
	for name, read := range map[string]struct {
		form []byte
		read func(*Reader)
	}{
		"a number that is not in its shortest form": {[]byte{0x80, 0x00}, func(r *Reader) { r.Uvarint() }},
		"a number above its limit":                  {[]byte{9}, func(r *Reader) { r.Max(8) }},
		"a number of more than 31 bits":             {binary.AppendUvarint(nil, 1<<31), func(r *Reader) { r.Number() }},
		"a bool that is neither":                    {[]byte{2}, func(r *Reader) { r.Bool() }},
		"a length beyond the input":                 {[]byte{200, 1, 0}, func(r *Reader) { r.Bytes() }},
		"a list longer than the input":              {[]byte{3, 0, 0, 0}, func(r *Reader) { r.Count(2) }},
		"more bytes than there are":                 {[]byte{1}, func(r *Reader) { r.Take(2) }},
	} {
		r := Over(read.form)
		read.read(&r)
		if !r.Failed() || r.Done() || r.Left() != 0 {
			t.Errorf("%s was read", name)
		}
	}
	r := Over([]byte{1, 2, 3})
	if got := r.Rest(); !bytes.Equal(got, []byte{1, 2, 3}) || !r.Done() {
		t.Errorf("the rest is %v", got)
	}
}
