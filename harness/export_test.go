package harness

// Hasten divides all bounds on the wall clock.
func Hasten(o Options, by int) Options {
	o.haste = by
	return o
}
