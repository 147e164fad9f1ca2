package poll

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen.
const patience = 30 * time.Second

func newPoller(t *testing.T) *Poller {
	t.Helper()
	p, err := New()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// wait is one Wait with a watchdog. It returns how many events there were.
func wait(t *testing.T, p *Poller, deadline time.Time) int {
	t.Helper()
	hang := time.AfterFunc(patience, func() { panic("Wait does not return: " + t.Name()) })
	defer hang.Stop()
	events, err := p.Wait(deadline)
	if err != nil {
		t.Fatal(err)
	}
	return len(events)
}

func TestWakeBeforeWaitIsNotLost(t *testing.T) {
	p := newPoller(t)
	for range 1000 {
		p.Wake()
		if n := wait(t, p, time.Time{}); n != 0 {
			t.Fatalf("a wake-up came as %d events", n)
		}
	}
}

func TestWakeWhileWaiting(t *testing.T) {
	p := newPoller(t)
	for range 200 {
		begun := make(chan struct{})
		go func() {
			<-begun
			p.Wake()
		}()
		close(begun)
		wait(t, p, time.Time{})
	}
}

// A wake-up is wanted by the waiter alone: several before one Wait end that one, and perhaps one more.
func TestWakesAddUpToFew(t *testing.T) {
	p := newPoller(t)
	for range 50 {
		p.Wake()
	}
	wait(t, p, time.Time{})
	extra := 0
	for {
		end := time.Now().Add(time.Millisecond)
		wait(t, p, end)
		if !time.Now().Before(end) {
			break
		}
		if extra++; extra > 1 {
			t.Fatal("wake-ups are kept one by one")
		}
	}
}

func TestWaitEndsAtItsDeadline(t *testing.T) {
	p := newPoller(t)
	for name, d := range map[string]time.Duration{
		"past":   -time.Hour,
		"now":    0,
		"soon":   time.Millisecond,
		"later":  20 * time.Millisecond,
		"sooner": 2 * time.Millisecond,
	} {
		t.Run(name, func(t *testing.T) {
			deadline := time.Now().Add(d)
			for range 2 { // the second time it has passed already
				if n := wait(t, p, deadline); n != 0 {
					t.Errorf("%d events", n)
				}
				if time.Now().Before(deadline) {
					t.Error("too early")
				}
			}
		})
	}
	// The next one has none.
	woken := make(chan struct{})
	time.AfterFunc(5*time.Millisecond, func() { close(woken); p.Wake() })
	wait(t, p, time.Time{})
	select {
	case <-woken:
	default:
		t.Error("a deadline stayed behind")
	}
}

func TestWakeEndsAWaitWithADeadline(t *testing.T) {
	p := newPoller(t)
	for range 100 {
		go p.Wake()
		wait(t, p, time.Now().Add(time.Hour))
	}
}

// TestManyWakers has goroutines announce work and wake, as an inbox does: the waiter, which sleeps
// without a deadline whenever it sees no work, sees all of it.
func TestManyWakers(t *testing.T) {
	const wakers, each = 8, 3000
	p := newPoller(t)
	var work atomic.Int64
	var wg sync.WaitGroup
	for range wakers {
		wg.Go(func() {
			for range each {
				work.Add(1)
				p.Wake()
			}
		})
	}
	for taken := int64(0); taken < wakers*each; taken += work.Swap(0) {
		if work.Load() == 0 {
			wait(t, p, time.Time{})
		}
	}
	wg.Wait()
}

func TestPollDoesNotWait(t *testing.T) {
	p := newPoller(t)
	for range 3 {
		if events, err := p.Poll(); len(events) != 0 || err != nil {
			t.Errorf("%v, %v", events, err)
		}
		p.Wake()
	}
}

func TestCloseOfAPollerInUse(t *testing.T) {
	for range 20 {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		p.Wake()
		if _, err := p.Wait(time.Now().Add(time.Millisecond)); err != nil {
			t.Error(err)
		}
		p.Wake()
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
}

// Deadlines of all kinds, the same one again, one that has passed and none among them, while somebody wakes
// at any moment: every Wait ends.
func TestDeadlinesAmongWakes(t *testing.T) {
	rounds := 300
	if n, err := strconv.Atoi(os.Getenv("COOP_STORM")); err == nil {
		rounds *= n
	}
	p := newPoller(t)
	stop := make(chan struct{})
	over := make(chan struct{})
	go func() {
		defer close(over)
		for {
			select {
			case <-stop:
				return
			case <-time.After(time.Duration(rand.IntN(400)) * time.Microsecond):
			}
			p.Wake()
		}
	}()
	var deadline time.Time
	for range rounds {
		switch rand.IntN(6) {
		case 0: // as it was
		case 1:
			deadline = time.Time{} // the next wake-up ends it
		case 2:
			deadline = time.Now().Add(-time.Microsecond)
		case 3:
			deadline = time.Now()
		default:
			deadline = time.Now().Add(time.Duration(rand.IntN(300)) * time.Microsecond)
		}
		wait(t, p, deadline)
	}
	close(stop)
	<-over
}
