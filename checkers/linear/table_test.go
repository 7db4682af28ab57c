package linear

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/cleancut/cleancut/checkers"
)

// markdown prints what was measured as tables of Markdown, a column for each
// algorithm, after all benchmarks.
var markdown = flag.Bool("markdown", false, "print benchmarks as tables of Markdown, too")

// measured is a row's cells by algorithm.
type measured struct {
	name  string
	cells map[string]string
}

var measuredRows []*measured

// note keeps a result for the table. The last part of the name says who
// judged.
func (c *cost) note(name string, v checkers.Validity) {
	name = strings.TrimPrefix(name, "Benchmark")
	at := strings.LastIndexByte(name, '/')
	i := slices.IndexFunc(measuredRows, func(r *measured) bool { return r.name == name[:at] })
	if i < 0 {
		i = len(measuredRows)
		measuredRows = append(measuredRows, &measured{name[:at], map[string]string{}})
	}
	cell := fmt.Sprintf("%.3g ms, %.3g MB", float64(c.wall)/1e6, float64(c.peak)/(1<<20))
	if v == checkers.Unknown {
		cell = "no verdict: " + cell
	}
	measuredRows[i].cells[name[at+1:]] = cell
}

// printTable prints the rows of each benchmark.
func printTable() {
	family := ""
	var columns []string
	for _, r := range measuredRows {
		if f, _, _ := strings.Cut(r.name, "/"); f != family {
			family, columns = f, nil
			for _, x := range measuredRows {
				if strings.HasPrefix(x.name, family+"/") {
					for name := range x.cells {
						if !slices.Contains(columns, name) {
							columns = append(columns, name)
						}
					}
				}
			}
			slices.Sort(columns)
			fmt.Printf("\n| %s | %s |\n|---|%s\n", family, strings.Join(columns, " | "), strings.Repeat("---|", len(columns)))
		}
		cells := make([]string, len(columns))
		for i, name := range columns {
			cells[i] = r.cells[name]
		}
		fmt.Printf("| %s | %s |\n", strings.TrimPrefix(r.name, family+"/"), strings.Join(cells, " | "))
	}
}

func TestMain(m *testing.M) {
	code := m.Run()
	if *markdown {
		printTable()
	}
	os.Exit(code)
}
