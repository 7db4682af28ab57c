package store

import (
	"bytes"
	"encoding/json"
	"net/url"
	"strconv"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
)

// Bounds of requests. What exceeds them is refused with 400 or 413.
const (
	keyMax  = 256      // bytes of a key
	bodyMax = 16 << 10 // bytes of a body
)

// Codes tell a client what an answer other than 200 means for its request.
// README.md lists them.
const (
	codeBadRequest   = "bad_request"    // 400, 404, 405, 413: not executed, and never will be
	codeNoKey        = "no_key"         // 404: a read found no such key
	codeMismatch     = "cas_mismatch"   // 409: the key has another value
	codeExpired      = "no_session"     // 410: this request was not executed
	codeStale        = "stale_sequence" // 409: a later request of the session was executed
	codeUnavailable  = "unavailable"    // 503: not executed; ask another node, or later
	codeMaybeApplied = "maybe_applied"  // 504: may be executed, at any later time
)

// call is a parsed request.
type call struct {
	op           operation // 0 for a read
	key          string
	session, seq uint64
	value        []byte // canonical JSON
	expected     []byte // canonical JSON, empty for an absent key
}

// refusal is a request that cannot be parsed.
type refusal struct {
	status int
	text   string
}

// parseRequest reads a client's request. It never panics.
func parseRequest(r node.Request) (call, *refusal) {
	if len(r.Body) > bodyMax {
		return call{}, &refusal{413, "the body has " + strconv.Itoa(len(r.Body)) + " bytes; at most " + strconv.Itoa(bodyMax) + " are accepted"}
	}
	if r.Path == "/sessions" {
		if r.Method != "POST" {
			return call{}, &refusal{405, "/sessions accepts POST only"}
		}
		return call{op: opRegister}, nil
	}
	path, ok := strings.CutPrefix(r.Path, "/kv/")
	if !ok {
		return call{}, &refusal{404, "there is no such path; try /sessions, /kv/KEY, /kv/KEY/cas or /health"}
	}
	c := call{key: path}
	key, cas := strings.CutSuffix(path, "/cas")
	switch {
	case cas && r.Method == "POST":
		c.key, c.op = key, opCAS
	case cas:
		return call{}, &refusal{405, "/kv/KEY/cas accepts POST only"}
	case r.Method == "PUT":
		c.op = opPut
	case r.Method == "DELETE":
		c.op = opDelete
	case r.Method != "GET":
		return call{}, &refusal{405, "/kv/KEY accepts GET, PUT and DELETE only"}
	}
	if !validKey(c.key) {
		return call{}, &refusal{400, "a key has 1 to " + strconv.Itoa(keyMax) + " characters out of A-Z a-z 0-9 . _ ~ : @ -"}
	}
	if bad := c.parseQuery(r.Query); bad != nil {
		return call{}, bad
	}
	return c, c.parseBody(r.Body)
}

// validKey accepts keys that need no escape in a path, so that they look the
// same to every client.
func validKey(key string) bool {
	for i := range len(key) {
		switch c := key[i]; {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("._~:@-", c) >= 0:
		default:
			return false
		}
	}
	return len(key) > 0 && len(key) <= keyMax && key != "." && key != ".."
}

// parseQuery reads session and sequence number.
func (c *call) parseQuery(query string) *refusal {
	if query == "" {
		return nil
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return &refusal{400, "the query cannot be parsed; want session=NUMBER&seq=NUMBER"}
	}
	numbers := 0
	for _, p := range []struct {
		name string
		into *uint64
	}{{"session", &c.session}, {"seq", &c.seq}} {
		v := values[p.name]
		if len(v) != 1 {
			return &refusal{400, "the query must have session=NUMBER&seq=NUMBER, each once, or be empty"}
		}
		n, err := strconv.ParseUint(v[0], 10, 64)
		if err != nil || n == 0 {
			return &refusal{400, p.name + " must be a positive whole number"}
		}
		*p.into = n
		numbers++
	}
	if len(values) != numbers {
		return &refusal{400, "the query may have session and seq only"}
	}
	if c.op == 0 {
		return &refusal{400, "a read takes neither session nor seq"}
	}
	return nil
}

func (c *call) parseBody(body []byte) *refusal {
	switch c.op {
	case opPut:
		c.value = canonical(body)
		if len(c.value) == 0 {
			return &refusal{400, "the body must be a JSON integer or string: the new value"}
		}
	case opCAS:
		var b struct{ Expected, Value json.RawMessage }
		d := json.NewDecoder(bytes.NewReader(body))
		d.DisallowUnknownFields()
		err := d.Decode(&b)
		c.value, c.expected = canonical(b.Value), canonical(b.Expected)
		if err != nil || d.More() || len(c.value) == 0 || len(c.expected) == 0 && string(b.Expected) != "null" {
			return &refusal{400, `the body must be {"expected": OLD, "value": NEW} with JSON integers or strings; OLD null stands for an absent key`}
		}
	default:
		if len(body) > 0 {
			return &refusal{400, "this request takes no body"}
		}
	}
	return nil
}

// canonical returns a JSON integer (of 64 bits) or string in the one form in
// which it is kept and compared, or nothing if b is neither.
func canonical(b []byte) []byte {
	b = bytes.TrimSpace(b)
	if n, err := strconv.ParseInt(string(b), 10, 64); err == nil && b[0] != '+' {
		return strconv.AppendInt(nil, n, 10)
	}
	if len(b) == 0 || b[0] != '"' {
		return nil
	}
	var s string
	if json.Unmarshal(b, &s) != nil {
		return nil
	}
	out, err := json.Marshal(s)
	if err != nil {
		return nil
	}
	return out
}

// refuse answers a request that was not, or may not have been, executed.
func refuse(status int, code, text string) node.Response {
	b := append(make([]byte, 0, 64+len(text)), `{"code":"`...)
	b = append(b, code...)
	b = append(b, `","error":`...)
	b = strconv.AppendQuote(b, text)
	return node.Response{Status: status, Body: append(b, "}\n"...)}
}

// answerRead answers a read from the state after index.
func answerRead(value string, found bool, index uint64) node.Response {
	if !found {
		return refuse(404, codeNoKey, "there is no such key")
	}
	b := append(make([]byte, 0, 48+len(value)), valuePrefix...)
	b = append(b, value...)
	b = append(b, `,"index":`...)
	b = strconv.AppendUint(b, index, 10)
	return node.Response{Status: 200, Body: append(b, "}\n"...)}
}

// answerWrite answers a write.
func answerWrite(r result) node.Response {
	switch r.outcome {
	case outcomeMismatch:
		value := r.value
		if value == "" {
			value = "null"
		}
		return node.Response{Status: 409, Body: []byte(`{"code":"` + codeMismatch + `","value":` + value + "}\n")}
	case outcomeExpired:
		return refuse(410, codeExpired, "the session is unknown or expired; register a new one")
	case outcomeStale:
		return refuse(409, codeStale, "the session has executed a later sequence number; number requests upwards")
	case outcomeInvalid:
		return refuse(400, codeBadRequest, "the request is not understood by this version")
	}
	name := `{"index":`
	if r.outcome == outcomeRegistered {
		name = `{"session":`
	}
	b := append(make([]byte, 0, 48), name...)
	b = strconv.AppendUint(b, r.index, 10)
	if r.outcome == outcomeNoKey {
		b = append(b, `,"deleted":false`...)
	}
	return node.Response{Status: 200, Body: append(b, "}\n"...)}
}
