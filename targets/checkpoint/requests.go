package checkpoint

import (
	"encoding/json"
	"slices"
	"strings"

	"github.com/cleancut/cleancut/harness/node"
	"github.com/cleancut/cleancut/workloads/jobs"
)

// progress answers GET /progress/WORKER.
type progress struct {
	Epoch int    `json:"epoch"`
	Round int    `json:"round"` // newest committed one
	Units int64  `json:"units"`
	State string `json:"state"`
}

// reportAnswer answers GET /result/WORKER and GET /outputs/WORKER.
type reportAnswer struct {
	Report  string   `json:"report"`
	Outputs []string `json:"outputs,omitempty"`
}

// failure answers what cannot be answered.
type failure struct {
	Error string `json:"error"`
}

func refuse(status int, text string) node.Response { return answerJSON(status, failure{text}) }

func answerJSON(status int, v any) node.Response {
	b, err := json.Marshal(v)
	if err != nil {
		panic("an answer that cannot be JSON: " + err.Error())
	}
	return node.Response{Status: status, Body: append(b, '\n')}
}

// request answers a client.
func (c *control) request(id node.RequestID, r node.Request) {
	what, worker, ok := strings.Cut(strings.TrimPrefix(r.Path, "/"), "/")
	i := slices.Index(c.workers, worker)
	switch {
	case r.Method != "GET" || !ok || what != "progress" && what != "result" && what != "outputs":
		c.env.Reply(id, refuse(404, "there is no such path; try GET /progress/WORKER, /result/WORKER or /outputs/WORKER"))
		return
	case i < 0:
		c.env.Reply(id, refuse(404, "there is no worker "+worker+"; workers are "+strings.Join(c.workers, ", ")))
		return
	case !c.active:
		c.env.Reply(id, refuse(503, "this node is not the coordinator"))
		return
	}
	m := c.members[i]
	switch {
	case what == "progress" && m.heard == 0:
		c.env.Reply(id, refuse(503, "nothing was heard of "+worker+" yet"))
	case what == "progress":
		c.env.Reply(id, answerJSON(200, progress{m.beat.epoch, c.ledger.newest(), m.beat.units, m.beat.state.String()}))
	case c.ledger.Phase == givenUp:
		c.env.Reply(id, refuse(410, "the job was given up: "+c.ledger.Failure))
	case !c.complete():
		c.env.Reply(id, refuse(503, "the job is not done"))
	case what == "result":
		c.env.Reply(id, answerJSON(200, reportAnswer{Report: c.report(i)}))
	default:
		a := reportAnswer{Report: c.report(i)}
		c.readSink(worker, func(list []output, ok bool) {
			if !ok {
				c.env.Reply(id, refuse(503, "the sink cannot be read now"))
				return
			}
			for _, o := range list {
				a.Outputs = append(a.Outputs, jobs.Output{ID: o.id, Payload: string(o.data)}.String())
			}
			c.env.Reply(id, answerJSON(200, a))
		})
	}
}

// answer answers a client of a worker.
func (w *worker) answer(r node.Request) node.Response {
	if r.Method != "GET" || r.Path != "/progress/"+w.env.Self() {
		return refuse(404, "a worker answers GET /progress/"+w.env.Self()+" only; ask a control node for all else")
	}
	round := 0
	if n := len(w.order.committed); n > 0 {
		round = w.order.committed[n-1]
	}
	return answerJSON(200, progress{w.epoch, round, w.app.Units(), w.state.String()})
}

// complete tells that the job is done: every worker has finished, what it came
// to cannot be undone (a round that began after that is committed, or the safe
// line has it), and all output is visible.
func (c *control) complete() bool {
	return (c.finished || solo(c.cfg.Protocol)) && c.ledger.Phase == computing &&
		c.all(func(t beat) bool { return t.state == running && t.final && !t.hidden }) &&
		(c.finished || c.lasting())
}

func (c *control) report(i int) string {
	return jobs.Report{
		Job: c.cfg.Job, Proc: i, Procs: len(c.workers), Seed: c.cfg.JobSeed, Size: c.cfg.Size,
		Result: c.members[i].beat.digest,
	}.String()
}
