// Package jsontext writes JSON for files and terminals. encoding/json writes <, >
// and & as numbers (\u003e), so that JSON can stand in a script of a page; who
// looks for "p1>p2" in a result does not find it then. Here they stay as they
// are: such JSON must not be put into HTML as it is.
package jsontext

import (
	"bytes"
	"encoding/json"
)

// Marshal returns v on one line, without an end of it.
func Marshal(v any) ([]byte, error) { return marshal(v, "") }

// MarshalIndent returns v on many lines, without an end of the last.
func MarshalIndent(v any) ([]byte, error) { return marshal(v, "  ") }

func marshal(v any, indent string) ([]byte, error) {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", indent)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
