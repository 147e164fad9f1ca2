package redis

import (
	"math/rand/v2"
	"time"
)

// The waits between attempts to connect: short at first, since most outages are restarts; never longer than a fail-over
// may be noticed late; and at random within a factor of two, so that a thousand nodes do not come at once.
const (
	firstWait = 50 * time.Millisecond
	longWait  = 1500 * time.Millisecond
)

// backoff is how long to wait before the next attempt.
type backoff struct{ last time.Duration }

func (b *backoff) next() time.Duration {
	b.last = min(max(2*b.last, firstWait), longWait)
	return b.last/2 + rand.N(b.last/2+1)
}

func (b *backoff) reset() { b.last = 0 }
