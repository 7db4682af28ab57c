// Package nearest finds the names that somebody may have meant who wrote one
// that does not exist.
package nearest

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// Bounds of what is said.
const (
	suggestMax = 3
	listMax    = 30 // names of a list that is said in full
	nameMax    = 100
)

// To returns up to three of the names that are nearest to name, by the number
// of letters that must be put in, left out, changed or swapped with the next
// (optimal string alignment), nearest first; none that shares less than half of its
// letters, unless one begins with the other.
func To(name string, names []string) []string {
	if name == "" || len(name) > nameMax {
		return nil
	}
	type candidate struct {
		name     string
		distance int
	}
	var near []candidate
	for _, n := range names {
		d := distance(strings.ToLower(name), strings.ToLower(n))
		if strings.HasPrefix(n, name) || strings.HasPrefix(name, n) {
			d = min(d, 1)
		}
		if d <= max(1, min(len(name), len(n))/2) {
			near = append(near, candidate{n, d})
		}
	}
	slices.SortStableFunc(near, func(a, b candidate) int { return cmp.Compare(a.distance, b.distance) })
	var out []string
	for _, c := range near {
		if !slices.Contains(out, c.name) {
			out = append(out, c.name)
		}
	}
	return out[:min(len(out), suggestMax)]
}

// Hint is what an error says after "there is no such name": which names there
// are, if they are not too many to read, and which may have been meant.
func Hint(name string, names []string) string {
	var hint string
	if len(names) > 0 && len(names) <= listMax {
		hint = "; there are: " + strings.Join(names, ", ")
	}
	return hint + Suggest(name, names)
}

// Suggest is Hint without the names that there are.
func Suggest(name string, names []string) string {
	switch near := To(name, names); len(near) {
	case 0:
		return ""
	case 1:
		return fmt.Sprintf("; did you mean %s?", near[0])
	default:
		return fmt.Sprintf("; did you mean one of %s?", strings.Join(near, ", "))
	}
}

// distance is how many letters must be put in, left out, changed or swapped
// with the next to make b of a (optimal string alignment).
func distance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for k := range rows[0] {
		rows[0][k] = k
	}
	for i := 1; i <= len(a); i++ {
		for k := 1; k <= len(b); k++ {
			cost := 1
			if a[i-1] == b[k-1] {
				cost = 0
			}
			d := min(rows[i-1][k]+1, rows[i][k-1]+1, rows[i-1][k-1]+cost)
			if i > 1 && k > 1 && a[i-1] == b[k-2] && a[i-2] == b[k-1] {
				d = min(d, rows[i-2][k-2]+1)
			}
			rows[i][k] = d
		}
	}
	return rows[len(a)][len(b)]
}
