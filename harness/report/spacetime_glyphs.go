package report

import (
	"fmt"
	"strings"

	"github.com/cleancut/cleancut/harness/record"
)

// glyphs are the kinds of events that have a sign of their own.
var glyphs = map[record.Kind]bool{
	record.Start: true, record.Crash: true, record.CheckpointBegin: true, record.CheckpointBad: true,
	record.Restore: true, record.Resume: true, record.OutputCommit: true, record.Final: true, record.Failure: true,
}

// outputsDrawnMax bounds the signs of outputs.
const outputsDrawnMax = 150

// drawEvents draws what is neither line nor message.
func (v *canvas) drawEvents() {
	size := min(7, max(3.2, v.pitch*0.22))
	outputs := 0
	named := map[string]float64{} // where the last name in a lane ends
	i, j := v.span(v.from, v.to)
	for k := i; k < j; k++ {
		e := &v.events[k]
		if !glyphs[e.Kind] || !has(v.row, e.Proc) {
			continue
		}
		x, y := v.at(k), v.lane(e.Proc)
		switch e.Kind {
		case record.CheckpointBegin:
			v.drawCheckpoint(v.byID[[2]string{e.Proc, e.Ckpt}], x, y, size)
			if v.pitch >= 44 && x > named[e.Proc] {
				text := shorten(e.Ckpt, 12)
				fmt.Fprintf(v, `<text class="name" x="%.1f" y="%.1f">%s</text>`, x, y-size-4, escape(text))
				named[e.Proc] = x + 7*float64(len(text)) + 4
			}
		case record.Crash:
			v.drawCross(x, y, size, "crash", fmt.Sprintf("%s crashed at %s", e.Proc, clock(e.T)))
		case record.CheckpointBad:
			v.drawCross(x, y, size*0.7, "bad", fmt.Sprintf("%s could not load %s from %s: %s", e.Proc, e.Ckpt, e.Level, e.Reason))
		case record.Failure:
			v.drawCross(x, y, size*1.2, "crash", fmt.Sprintf("%s gave up: %s", e.Proc, e.Reason))
		case record.Start:
			fmt.Fprintf(v, `<line class="start" x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f"><title>%s</title></line>`, x, x, y-size, y+size, escape(fmt.Sprintf("%s started, incarnation %d", e.Proc, e.Inc)))
		case record.Restore:
			fmt.Fprintf(v, `<circle class="restore" cx="%.1f" cy="%.1f" r="%.1f"><title>%s</title></circle>`, x, y, size*0.85, escape(restoreText(e)))
		case record.Resume:
			fmt.Fprintf(v, `<path class="resume" d="M%.1f %.1fl%.1f %.1fl%.1f %.1fz"><title>%s computes again at %s</title></path>`, x-size*0.6, y-size*0.8, size*1.4, size*0.8, -size*1.4, size*0.8, escape(e.Proc), clock(e.T))
		case record.OutputCommit:
			if outputs++; outputs <= outputsDrawnMax {
				fmt.Fprintf(v, `<path class="output" d="M%.1f %.1fl%.1f %.1fh%.1fz"><title>%s</title></path>`, x, y-size*1.9, size*0.55, size*0.9, -size*1.1, escape(fmt.Sprintf("output %s seen outside at %s", e.ID, clock(e.T))))
			}
		case record.Final:
			fmt.Fprintf(v, `<rect class="final" x="%.1f" y="%.1f" width="3" height="%.1f"><title>%s has finished</title></rect>`, x-1.5, y-size, 2*size, escape(e.Proc))
		}
	}
}

func restoreText(e *record.Event) string {
	text := fmt.Sprintf("%s set back to %s", e.Proc, checkpointName(e.Ckpt))
	if e.Level != "" {
		text += " from " + e.Level
	}
	return text + " at " + clock(e.T)
}

func checkpointName(id string) string {
	if id == "" {
		return "its initial state"
	}
	return "checkpoint " + id
}

// drawCheckpoint draws a square, or a diamond if the checkpoint was forced. It
// is full if the checkpoint can be restored from somewhere.
func (v *canvas) drawCheckpoint(k *checkpoint, x, y, size float64) {
	class, title := "open", fmt.Sprintf("%s, checkpoint %s, begun %s", k.proc, k.id, clock(v.events[k.begin].T))
	if k.round > 0 {
		title += fmt.Sprintf(", round %d", k.round)
	}
	switch {
	case len(k.levels) > 0:
		class = "committed"
		var levels []string
		for _, l := range k.levels {
			levels = append(levels, fmt.Sprintf("%s at %s", l.level, clock(l.at)))
		}
		title += ", committed to " + strings.Join(levels, ", ")
	case k.aborted >= 0:
		class = "aborted"
		title += ", given up"
	}
	turn := ""
	if k.forced {
		turn = fmt.Sprintf(` transform="rotate(45 %.1f %.1f)"`, x, y)
		title += ", forced by a message"
	}
	fmt.Fprintf(v, `<rect class="checkpoint %s" x="%.1f" y="%.1f" width="%.1f" height="%.1f"%s><title>%s</title></rect>`, class, x-size*0.8, y-size*0.8, size*1.6, size*1.6, turn, escape(title))
}

func (v *canvas) drawCross(x, y, size float64, class, title string) {
	fmt.Fprintf(v, `<path class="cross %s" d="M%.1f %.1fL%.1f %.1fM%.1f %.1fL%.1f %.1f"><title>%s</title></path>`, class, x-size, y-size, x+size, y+size, x-size, y+size, x+size, y-size, escape(title))
}
