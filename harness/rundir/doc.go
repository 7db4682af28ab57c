// Package rundir is the run directory: what a run leaves on disk and in what
// formats.
package rundir
