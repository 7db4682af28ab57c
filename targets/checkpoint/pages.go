package checkpoint

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
)

// rootMax bounds a ledger that stands in its own value, quoted: it is in a
// request to the store twice when it is replaced.
const rootMax = 7 << 10

// ledgerMax bounds a ledger, which is mostly its catalogue, in bytes. It is
// looked at before the catalogue grows.
const ledgerMax = 512 << 10

var (
	// errReplaced: the ledger was replaced while it was being read.
	errReplaced = errors.New("checkpoint: not all pages of the ledger are there: it is replaced by now")
	// errUnread: the store did not answer, as happens while it has no leader.
	errUnread = errors.New("checkpoint: the store does not give the ledger")
)

// shelf is what a book needs of the store; see vault.
type shelf interface {
	get(key string, then func(fate, string))
	put(key, value string, then func(fate))
	remove(key string, then func(fate))
	swap(key, expected, value string, then func(fate, string))
}

// book keeps ledgers in the store for one process. A small one is the value
// under ledgerKey. A large one lies in pages, which are written before the
// root that names them and never change: whoever reads that root finds them
// all, or finds that it has been replaced.
type book struct {
	shelf shelf
	owner string
	last  int // that was laid out
}

// image is a ledger as it lies in the store.
type image struct {
	root  string
	name  string // of the pages
	pages []string
}

// root stands for a ledger that lies in pages.
type root struct {
	Name  string `json:"name"`
	Pages int    `json:"pages"`
}

// lay lays a ledger out. No two images have pages of the same name, not even
// of the same ledger: one may be on its way still when the next is written.
func (b *book) lay(l ledger) image {
	s := l.encode()
	if len(quote(s)) <= rootMax {
		return image{root: s}
	}
	b.last++
	m := image{name: b.owner + ":" + strconv.Itoa(b.last)}
	for piece := range slices.Chunk([]byte(s), pieceBytes) {
		m.pages = append(m.pages, encodePiece(piece))
	}
	text, err := json.Marshal(root{m.name, len(m.pages)})
	if err != nil {
		panic("a root that cannot be JSON: " + err.Error())
	}
	m.root = string(text)
	return m
}

// paged tells whether a value stands for a ledger in pages, and for which.
func paged(value string) (root, bool) {
	var r root
	if json.Unmarshal([]byte(value), &r) != nil || r.Pages < 1 || r.Pages > 2*ledgerMax/pieceBytes {
		return root{}, false
	}
	return r, true
}

func pageKey(name string, page int) string { return ledgerKey + ":" + name + ":" + strconv.Itoa(page) }

// write puts the pages of an image into the store, and then its root in the
// place of another, "" for none. It tells the fate of the root, which is maybe
// if not all pages are known to be there; writing may be tried again.
func (b *book) write(before string, m image, then func(fate)) {
	each(len(m.pages), func(page int, back func(fate)) {
		b.shelf.put(pageKey(m.name, page), m.pages[page], back)
	}, func(all bool) {
		if !all {
			then(maybe)
			return
		}
		b.shelf.swap(ledgerKey, before, m.root, func(f fate, _ string) { then(f) })
	})
}

// read reads the root, "" if there is none, and the ledger that it stands for.
func (b *book) read(then func(at string, l ledger, err error)) {
	b.shelf.get(ledgerKey, func(f fate, value string) {
		r, large := paged(value)
		switch {
		case f == absent:
			then("", ledger{Phase: computing}, nil)
		case f != done:
			then("", ledger{}, errUnread)
		case !large:
			l, err := decodeLedger(value)
			then(value, l, err)
		default:
			b.readPages(r, func(text string, err error) {
				var l ledger
				if err == nil {
					l, err = decodeLedger(text)
				}
				then(value, l, err)
			})
		}
	})
}

func (b *book) readPages(r root, then func(text string, err error)) {
	pieces := make([][]byte, r.Pages)
	each(r.Pages, func(page int, back func(fate)) {
		b.shelf.get(pageKey(r.Name, page), func(f fate, value string) {
			var ok bool
			if pieces[page], ok = decodePiece(value); !ok {
				f = absent
			}
			back(f)
		})
	}, func(all bool) {
		if !all {
			then("", errReplaced)
			return
		}
		then(string(slices.Concat(pieces...)), nil)
	})
}

// drop removes the pages of a root that was replaced. It is tried once: what
// stays costs space and nothing else.
func (b *book) drop(at string) {
	r, _ := paged(at)
	for page := range r.Pages {
		b.shelf.remove(pageKey(r.Name, page), func(fate) {})
	}
}

// each asks for something with every page at once, and then tells whether all
// of it was done.
func each(n int, ask func(page int, back func(fate)), then func(all bool)) {
	open, all := n, true
	if n == 0 {
		then(true)
		return
	}
	for page := range n {
		ask(page, func(f fate) {
			all = all && f == done
			if open--; open == 0 {
				then(all)
			}
		})
	}
}

// full tells, with the reason, that the catalogue cannot grow.
func (l ledger) full() error {
	if n := len(l.encode()); n > ledgerMax {
		return fmt.Errorf("checkpoint: the ledger has %d bytes; expected at most %d", n, ledgerMax)
	}
	return nil
}
