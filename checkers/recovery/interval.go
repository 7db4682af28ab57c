package recovery

import (
	"math"
	"time"
)

// Young is the time of computation between checkpoints that costs least, to
// first order: √(2·C·M) for a checkpoint that costs C and a mean time M between
// failures (Young, CACM 17(9) 1974).
func Young(cost, mtbf time.Duration) time.Duration {
	return time.Duration(math.Sqrt(2 * float64(cost) * float64(mtbf)))
}

// Daly is the same to higher order: √(2CM)·(1 + ⅓·√(C/2M) + C/18M) − C if
// C < 2M, else M (Daly, FGCS 22(3) 2006, equation 37).
func Daly(cost, mtbf time.Duration) time.Duration {
	c, m := float64(cost), float64(mtbf)
	if c >= 2*m {
		return mtbf
	}
	x := c / (2 * m)
	return time.Duration(math.Sqrt(2*c*m)*(1+math.Sqrt(x)/3+x/9) - c)
}

// Slowdown is how many times as long as without checkpoints and failures a
// computation takes that saves its state after each stretch of compute, at
// that cost, and loses what it has not saved at each failure, which brings it
// to a stand for restart: (M + R)/τ·(e^((τ+C)/M) − 1), where M is the mean time
// from the end of a restart to the next failure, at exponential times, and R the
// mean time to the end of the restart, with all failures during it. That is
// Daly's complete model (FGCS 22(3) 2006), whose factor e^(R/M) stands for
// restarts of a fixed length that begin anew at each failure.
func Slowdown(compute, cost, restart, mtbf time.Duration) float64 {
	t, c, r, m := float64(compute), float64(cost), float64(restart), float64(mtbf)
	return (m + r) / t * math.Expm1((t+c)/m)
}
