// Package rundir is the run directory: what a run leaves on disk, in which
// formats, and how it is read back.
//
//	runs/<scenario>/<start time>-<seed>/
//	    scenario.json    everything needed to run it again
//	    history.jsonl    operations and faults, appended as they happen
//	    faults.jsonl     ledger: what was injected, what undoes it, receipts
//	    nodes/<name>/    *.log, final.json (the node's last word)
//	    findings.json    broken contracts inside the system under test
//	    result.json      the verdict (type Result)
//	    report.html, junit.xml, picture-<checker>.html
//	runs/latest          points to the newest run, runs/<scenario>/latest too
//
// Evidence is written as it comes to be and survives the death of the
// harness; result, report and JUnit file are derived from it and can be
// written again. The package judges nothing and injects nothing.
package rundir
