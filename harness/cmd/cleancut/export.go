package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/cleancut/cleancut/harness/history"
	"github.com/cleancut/cleancut/harness/history/edn"
	"github.com/cleancut/cleancut/harness/rundir"
)

// exportCommand prints a history in another format.
func exportCommand() *cobra.Command {
	var from, to string
	var o loadOptions
	cmd := &cobra.Command{
		Use:   "export RUN|HISTORY",
		Short: "Print a history in the format of other tools",
		Long: `export prints the history of a run, or one in a file, as Jepsen's EDN, one
operation a line, or as cleancut's own JSONL. Operations on a key have the
value [key value] in EDN, as jepsen.independent has it.`,
		Example: `  cleancut export runs/latest > history.edn
  cleancut export history.edn --independent --to jsonl > history.jsonl`,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			path := args[0]
			if info, err := os.Stat(path); err == nil && info.IsDir() {
				path, from = filepath.Join(path, rundir.HistoryFile), formatJSONL
			}
			var write func(io.Writer, []history.Event) error
			switch to {
			case formatEDN:
				write = edn.Write
			case formatJSONL:
				write = history.Write
			default:
				return usage(fmt.Errorf("--to %q: expected edn or jsonl", to))
			}
			if err := validOrder(o.order); err != nil {
				return usage(err)
			}
			o.format = from
			h, err := load(path, o)
			if err != nil {
				return usage(err)
			}
			if h.summary.Backwards != "" && o.order == "" {
				return usage(fmt.Errorf("%s: the order of the lines and that of the times contradict each other (%s), so that both cannot be kept; "+
					"--order %s keeps the times and orders by them, --order %s keeps the order of the lines and raises %d times", path, h.summary.Backwards, byTime, byLines, h.summary.Raised))
			}
			if n := h.summary.Raised; n > 0 {
				fmt.Fprintf(cmd.ErrOrStderr(), "%s: %d times are not the true ones: they were before that of the operation before, and were raised to it\n", path, n)
			}
			if to == formatJSONL { // its indices count from 0
				for i := range h.evidence.Events {
					h.evidence.Events[i].Index = int64(i)
				}
			}
			out := bufio.NewWriter(exact(cmd.OutOrStdout()))
			if err := write(out, h.evidence.Events); err != nil {
				return usage(err)
			}
			return out.Flush()
		},
	}
	cmd.Flags().StringVar(&to, "to", formatEDN, "format to print: edn or jsonl")
	cmd.Flags().StringVar(&from, "format", "", "format of the history: jsonl, edn or json; guessed by default")
	cmd.Flags().StringVar(&o.order, "order", "", "what orders the operations: time or lines")
	cmd.Flags().BoolVar(&o.independent, "independent", false, "split values [key value] into key and value")
	cmd.Flags().BoolVar(&o.overlapping, "overlapping", false, "allow operations of one process to overlap")
	return cmd
}
