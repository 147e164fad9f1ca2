package coop_test

import (
	"errors"
	"testing"
	"time"

	"greenroom/coop"
)

// A timeout and the sleep within it can come due in the same timer phase. The greenlet is woken once,
// by the first of the two.
func TestTimeoutAndSleepDueTogetherWakeOnce(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		err := g.WithTimeout(time.Second, func() error { return g.Sleep(time.Second) })
		wantErr(t, err, coop.ErrTimeout)
		before := g.Loop().Now()
		if err := g.Sleep(time.Hour); err != nil {
			return err
		}
		if slept := g.Loop().Now() - before; slept != time.Hour {
			t.Errorf("the next sleep took %v", slept)
		}
		return nil
	})
}

// coarseClock is a machine under load: the loop gets to run only once in a while, and finds several
// deadlines behind it.
type coarseClock struct{ now, step time.Duration }

func (c *coarseClock) Now() time.Duration { return c.now }

func (c *coarseClock) WakeAt(t time.Duration) (time.Time, bool) {
	for c.now < t {
		c.now += c.step
	}
	return time.Time{}, false
}

func TestDeadlinesThatCameDueTogether(t *testing.T) {
	const step = 10 * time.Second
	for name, c := range map[string]struct {
		sleep, timeout time.Duration
		first, second  error // what the sleep, and a longer one after it, return
	}{
		"sleep first":   {3 * time.Second, 7 * time.Second, nil, coop.ErrTimeout},
		"timeout first": {7 * time.Second, 3 * time.Second, coop.ErrTimeout, nil},
		"equal":         {7 * time.Second, 7 * time.Second, coop.ErrTimeout, nil},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{Clock: &coarseClock{step: step}}, func(g *coop.Greenlet) error {
				return g.WithTimeout(c.timeout, func() error {
					first, second := g.Sleep(c.sleep), g.Sleep(time.Hour)
					if !errors.Is(first, c.first) || !errors.Is(second, c.second) {
						t.Errorf("got %v, then %v; want %v, then %v", first, second, c.first, c.second)
					}
					return nil
				})
			})
		})
	}
}
