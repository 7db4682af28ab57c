package main

import (
	"maps"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/cleancut/cleancut/suites"
)

// A shell asks what may follow. Names come from the tables that list shows, so
// that nothing can be completed that there is not, and nothing is left out.

// completions are the values of flags, by name, on all commands.
var completions = map[string]func() []string{
	"target":   func() []string { return column("targets") },
	"bug":      func() []string { return column("bugs") },
	"faults":   func() []string { return append(column("faults"), "none") },
	"set":      func() []string { return ending(column("settings"), "=") },
	"workload": func() []string { return column("workloads") },
	"runtime":  suites.RuntimeNames,
}

// historyCompletions are those of check, which judges histories of other
// workloads, too.
var historyCompletions = map[string]func() []string{
	"workload": names,
	"model":    func() []string { return column("models") },
	"format":   func() []string { return []string{formatJSONL, formatEDN, formatJSON} },
	"dialect":  dialectNames,
	"order":    func() []string { return []string{byTime, byLines} },
	"assume":   func() []string { return slices.Concat(promises, registerPromises) },
}

// column lists the first column of a table of list, each once.
func column(list string) (values []string) {
	for _, row := range lists[list]().rows {
		if !slices.Contains(values, row[0]) {
			values = append(values, row[0])
		}
	}
	return values
}

func ending(values []string, with string) (list []string) {
	for _, v := range values {
		list = append(list, v+with)
	}
	return list
}

// scenariosAndGroups are what run and sweep take.
func scenariosAndGroups() []string {
	all := column("scenarios")
	for _, s := range all {
		if group, _, _ := strings.Cut(s, "/"); !slices.Contains(all, group) {
			all = append(all, group)
		}
	}
	return all
}

// complete makes a command, and those below it, complete their arguments and
// flags.
func complete(cmd *cobra.Command) {
	for _, below := range cmd.Commands() {
		complete(below)
	}
	values := maps.Clone(completions)
	switch cmd.Name() {
	case "run", "sweep", "interval":
		cmd.ValidArgsFunction = completing(scenariosAndGroups)
	case "list":
		cmd.ValidArgsFunction = completing(func() []string { return slices.Sorted(maps.Keys(lists)) })
	case "check", "export":
		maps.Copy(values, historyCompletions)
		cmd.ValidArgsFunction = paths
	case "report", "replay":
		cmd.ValidArgsFunction = paths
	}
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		list, known := values[f.Name]
		switch {
		case known:
			// It fails only for a flag that there is not.
			_ = cmd.RegisterFlagCompletionFunc(f.Name, completing(list))
		case f.Value.Type() != "bool" && f.Name != "out" && f.Name != "junit":
			_ = cmd.RegisterFlagCompletionFunc(f.Name, cobra.NoFileCompletions)
		}
	})
}

// completing completes the last of what is separated by commas.
func completing(list func() []string) cobra.CompletionFunc {
	return func(_ *cobra.Command, _ []string, typed string) ([]cobra.Completion, cobra.ShellCompDirective) {
		before, last := "", typed
		if i := strings.LastIndexByte(typed, ','); i >= 0 {
			before, last = typed[:i+1], typed[i+1:]
		}
		var found []cobra.Completion
		for _, v := range list() {
			if strings.HasPrefix(v, last) {
				found = append(found, before+v)
			}
		}
		directive := cobra.ShellCompDirectiveNoFileComp
		if len(found) > 0 && strings.HasSuffix(found[0], "=") {
			directive |= cobra.ShellCompDirectiveNoSpace
		}
		return found, directive
	}
}

// paths leaves it to the shell, which knows them.
func paths(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveDefault
}
