package main

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/faults"
	"github.com/cleancut/cleancut/harness"
	"github.com/cleancut/cleancut/harness/cluster"
	"github.com/cleancut/cleancut/harness/internal/jsontext"
	"github.com/cleancut/cleancut/harness/nearest"
	"github.com/cleancut/cleancut/suites"
	"github.com/cleancut/cleancut/workloads"
)

// table is a list for people and machines.
type table struct {
	header []string
	rows   [][]string
}

// lists holds what can be listed, by name.
var lists = map[string]func() table{
	"targets":   targetTable,
	"claims":    claimTable,
	"workloads": workloadTable,
	"faults":    faultTable,
	"checkers":  checkerTable,
	"scenarios": scenarioTable,
	"bugs":      bugTable,
	"models": func() table {
		t := modelTable()
		t.rows = append(t.rows, recordRows()...)
		return t
	},
	"points":   pointTable,
	"settings": settingTable,
	"groups":   groupTable,
}

const listNames = "targets, claims, workloads, faults, checkers, scenarios, bugs, models, points, settings, groups"

func listCommand() *cobra.Command {
	var asJSON, asMarkdown bool
	cmd := &cobra.Command{
		Use:   "list WHAT",
		Short: "List " + listNames,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 1 {
				return fmt.Errorf("list accepts 1 arg(s), received %d: one of %s", len(args), listNames)
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			list, ok := lists[args[0]]
			if !ok {
				return usage(fmt.Errorf("there is no list of %q%s", args[0], nearest.Hint(args[0], strings.Split(listNames, ", "))))
			}
			t := list()
			if asJSON {
				b, err := jsontext.Marshal(t.objects())
				if err == nil {
					_, err = fmt.Fprintf(cmd.OutOrStdout(), "%s\n", b)
				}
				return err
			}
			if asMarkdown {
				_, err := io.WriteString(cmd.OutOrStdout(), t.markdown())
				return err
			}
			w := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(w, strings.ToUpper(strings.Join(t.header, "\t")))
			for _, row := range t.rows {
				fmt.Fprintln(w, strings.Join(row, "\t"))
			}
			return w.Flush()
		},
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print a JSON array of objects")
	cmd.Flags().BoolVar(&asMarkdown, "markdown", false, "print a table in Markdown, as the README has it")
	return cmd
}

func (t table) objects() []map[string]string {
	objects := make([]map[string]string, len(t.rows))
	for i, row := range t.rows {
		objects[i] = map[string]string{}
		for k, cell := range row {
			objects[i][t.header[k]] = cell
		}
	}
	return objects
}

// markdown prints the table for documents.
func (t table) markdown() string {
	var b strings.Builder
	line := func(cells []string) {
		for _, c := range cells {
			b.WriteString("| " + strings.ReplaceAll(c, "|", "\\|") + " ")
		}
		b.WriteString("|\n")
	}
	line(t.header)
	b.WriteString(strings.Repeat("|---", len(t.header)) + "|\n")
	for _, row := range t.rows {
		line(row)
	}
	return b.String()
}

func targetTable() table {
	t := table{header: []string{"target", "runtimes", "operations", "settings", "bugs", "what it is"}}
	for _, x := range suites.Targets() {
		t.rows = append(t.rows, []string{x.Name(), strings.Join(runtimesOf(x), ","), strings.Join(x.Functions(), ","), settingsOf(x), fmt.Sprint(len(x.Bugs())), x.Doc()})
	}
	return t
}

// settingsOf names the settings of a target.
func settingsOf(x cluster.Target) string {
	c, ok := x.(cluster.Configurable)
	if !ok {
		return "-"
	}
	var names []string
	for _, s := range c.Settings() {
		names = append(names, s.Name)
	}
	return strings.Join(names, ",")
}

func settingTable() table {
	t := table{header: []string{"setting", "target", "default", "allowed", "what it sets"}}
	for _, x := range suites.Targets() {
		c, ok := x.(cluster.Configurable)
		if !ok {
			continue
		}
		for _, s := range c.Settings() {
			t.rows = append(t.rows, []string{s.Name, x.Name(), s.Default, strings.Join(s.Allowed, ","), s.Doc})
		}
	}
	return t
}

func groupTable() table {
	t := table{header: []string{"group", "target", "who belongs to it"}}
	for _, x := range suites.Targets() {
		for _, g := range cluster.GroupsOf(x, harness.Scenario{Nodes: 5}.NodeNames()) {
			t.rows = append(t.rows, []string{g.Name, x.Name(), g.Doc})
		}
	}
	return t
}

func claimTable() table {
	t := table{header: []string{"target", "guarantee", "given under", "source"}}
	for _, x := range suites.Targets() {
		for _, c := range x.Claims() {
			t.rows = append(t.rows, []string{x.Name(), c.Guarantee, c.Under, c.Source})
		}
	}
	return t
}

func runtimesOf(x cluster.Target) (names []string) {
	if _, ok := x.(cluster.Contained); ok {
		names = append(names, "docker")
	}
	if _, ok := x.(cluster.Simulated); ok {
		names = append(names, "sim")
	}
	return names
}

func workloadTable() table {
	t := table{header: []string{"workload", "operations", "what clients do"}}
	for _, w := range workloads.Catalog() {
		t.rows = append(t.rows, []string{w.Name(), strings.Join(w.Functions(), ","), w.Doc()})
	}
	return t
}

func faultTable() table {
	t := table{header: []string{"fault", "failure model", "example", "what it does"}}
	for _, d := range faults.Catalog() {
		t.rows = append(t.rows, []string{d.Name, string(d.Model), d.Usage, d.Doc})
	}
	return t
}

func checkerTable() table {
	t := table{header: []string{"checker", "used by"}}
	users := map[string][]string{}
	for _, s := range suites.Scenarios() {
		for _, c := range s.Checkers {
			if users[c.Name()] == nil {
				t.rows = append(t.rows, []string{c.Name(), ""})
			}
			users[c.Name()] = append(users[c.Name()], s.Name)
		}
	}
	for i, row := range t.rows {
		t.rows[i][1] = fmt.Sprintf("%d scenarios", len(users[row[0]]))
	}
	return t
}

func scenarioTable() table {
	t := table{header: []string{"scenario", "nodes", "workload", "labels", "what it shows"}}
	for _, s := range suites.Scenarios() {
		t.rows = append(t.rows, []string{s.Name, fmt.Sprint(s.Nodes), s.Workload.Name(), strings.Join(s.Labels, " "), s.Doc})
	}
	return t
}

func bugTable() table {
	t := table{header: []string{"bug", "target", "code", "shows on", "what is wrong"}}
	for _, x := range suites.Targets() {
		for _, b := range x.Bugs() {
			t.rows = append(t.rows, []string{b.ID, x.Name(), b.Code, strings.Join(b.Where, ","), b.Doc})
		}
	}
	return t
}

func pointTable() table {
	t := table{header: []string{"point", "target"}}
	for _, x := range suites.Targets() {
		if s, ok := x.(cluster.Simulated); ok {
			for _, p := range s.Points() {
				t.rows = append(t.rows, []string{p, x.Name()})
			}
		}
	}
	return t
}
