package checkpoint

import (
	"encoding/base64"
	"encoding/json"
	"strconv"

	"github.com/cleancut/cleancut/harness/node"
)

// vault is what the coordinator needs of the store: values under keys, put,
// got, deleted and compared-and-set. All of it is asynchronous; every callback
// is called exactly once. A result that may or may not have taken effect is
// maybe, and the caller has to find out or try again.
type vault struct{ r *replica }

// fate is how a request to the vault ended.
type fate uint8

const (
	done     fate = iota // it took effect, or the value is there
	absent               // there is no such key
	mismatch             // a compare-and-set found another value, which is given
	maybe                // it may have taken effect, or may yet
	refused              // it did not take effect
)

// codes of the store's answers, as its README gives them.
const (
	storeNoKey    = "no_key"
	storeMismatch = "cas_mismatch"
	storeMaybe    = "maybe_applied"
)

type storeBody struct {
	Code  string          `json:"code"`
	Value json.RawMessage `json:"value"`
}

func judge(r node.Response) (fate, string) {
	var b storeBody
	if json.Unmarshal(r.Body, &b) != nil {
		return maybe, ""
	}
	value := ""
	if len(b.Value) > 0 && b.Value[0] == '"' && json.Unmarshal(b.Value, &value) != nil {
		return maybe, ""
	}
	switch {
	case r.Status == 200:
		return done, value
	case b.Code == storeNoKey:
		return absent, ""
	case b.Code == storeMismatch:
		return mismatch, value
	case b.Code == storeMaybe:
		return maybe, ""
	}
	return refused, ""
}

// get reads a key.
func (v vault) get(key string, then func(fate, string)) {
	v.r.ask(node.Request{Method: "GET", Path: "/kv/" + key}, func(r node.Response) { then(judge(r)) })
}

// put writes a key.
func (v vault) put(key, value string, then func(fate)) {
	v.r.ask(node.Request{Method: "PUT", Path: "/kv/" + key, Body: quote(value)}, func(r node.Response) {
		f, _ := judge(r)
		then(f)
	})
}

// remove deletes a key.
func (v vault) remove(key string, then func(fate)) {
	v.r.ask(node.Request{Method: "DELETE", Path: "/kv/" + key}, func(r node.Response) {
		f, _ := judge(r)
		then(f)
	})
}

// swap writes a key if it has the expected value, "" standing for no key. With
// mismatch it gives the value that it found.
func (v vault) swap(key, expected, value string, then func(fate, string)) {
	b := []byte(`{"expected":null`)
	if expected != "" {
		b = append([]byte(`{"expected":`), quote(expected)...)
	}
	b = append(append(append(b, `,"value":`...), quote(value)...), '}')
	v.r.ask(node.Request{Method: "POST", Path: "/kv/" + key + "/cas", Body: b}, func(r node.Response) {
		f, found := judge(r)
		if f == mismatch && found == value {
			f = done // an earlier attempt took effect
		}
		then(f, found)
	})
}

func quote(s string) []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic("a string that cannot be JSON: " + err.Error())
	}
	return b
}

// Values of the store are strings of at most 16 KiB of JSON. Blobs are kept
// in pieces, as base64.
const pieceBytes = 9 << 10

func encodePiece(p []byte) string { return base64.StdEncoding.EncodeToString(p) }

func decodePiece(s string) ([]byte, bool) {
	b, err := base64.StdEncoding.DecodeString(s)
	return b, err == nil
}

// partKey names a piece of a worker's part in the store.
func partKey(worker string, round, piece int) string {
	return "part:" + worker + ":" + strconv.Itoa(round) + ":" + strconv.Itoa(piece)
}

// sinkKey names what the output of a worker's round became.
func sinkKey(worker string, round int) string {
	return "sink:" + worker + ":" + strconv.Itoa(round)
}
