package txn

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// edn reads as much of EDN as the histories need: maps, vectors, keywords,
// strings, integers, nil, booleans and comments. Keywords become strings.
type edn struct {
	text string
	at   int
}

func (e *edn) space() {
	for e.at < len(e.text) {
		switch c := e.text[e.at]; {
		case c == ';':
			for e.at < len(e.text) && e.text[e.at] != '\n' {
				e.at++
			}
		case strings.IndexByte(" \t\r\n,", c) >= 0:
			e.at++
		default:
			return
		}
	}
}

// forms returns all values of the text.
func (e *edn) forms(end byte) []any {
	list := []any{}
	for {
		e.space()
		if e.at >= len(e.text) {
			return list
		}
		if e.text[e.at] == end {
			e.at++
			return list
		}
		list = append(list, e.form())
	}
}

func (e *edn) form() any {
	switch c := e.text[e.at]; c {
	case '[', '(':
		e.at++
		return e.forms(map[byte]byte{'[': ']', '(': ')'}[c])
	case '{':
		e.at++
		m := map[string]any{}
		for list := e.forms('}'); len(list) > 1; list = list[2:] {
			m[fmt.Sprint(list[0])] = list[1]
		}
		return m
	case '"':
		end := strings.IndexByte(e.text[e.at+1:], '"')
		s := e.text[e.at+1 : e.at+1+end]
		e.at += end + 2
		return s
	}
	from := e.at
	for e.at < len(e.text) && strings.IndexByte(" \t\r\n,[](){}\";", e.text[e.at]) < 0 {
		e.at++
	}
	word := e.text[from:e.at]
	if n, err := strconv.ParseInt(word, 10, 64); err == nil {
		return n
	}
	if word == "nil" {
		return nil
	}
	return strings.TrimPrefix(word, ":")
}

// readEvents reads a history of EDN or JSON as a list of maps.
func readEvents(text string, isJSON bool) []map[string]any {
	var forms []any
	if isJSON {
		if err := json.Unmarshal([]byte(text), &forms); err != nil {
			panic(err)
		}
	} else {
		e := edn{text: text}
		forms = e.forms(0)
		if len(forms) == 1 {
			if list, ok := forms[0].([]any); ok {
				forms = list
			}
		}
	}
	events := make([]map[string]any, len(forms))
	for i := range forms {
		events[i] = forms[i].(map[string]any)
	}
	return events
}

func integer(v any) int64 {
	switch n := v.(type) {
	case int64:
		return n
	case float64:
		return int64(n)
	}
	panic(fmt.Sprintf("%v is no integer", v))
}
