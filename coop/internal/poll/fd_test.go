//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package poll

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// socketPair returns two connected descriptors; the test closes them if it has not done so.
func socketPair(t *testing.T) (a, b int) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, fd := range fds { // not everywhere in one call
		unix.CloseOnExec(fd)
		if err := unix.SetNonblock(fd, true); err != nil {
			t.Fatal(err)
		}
	}
	return fds[0], fds[1]
}

func write(t *testing.T, fd int, s string) {
	t.Helper()
	if _, err := unix.Write(fd, []byte(s)); err != nil {
		t.Fatal(err)
	}
}

// next waits for one event.
func next(t *testing.T, p *Poller) Event {
	t.Helper()
	events, err := p.Wait(time.Now().Add(patience))
	if err != nil {
		t.Fatal(err)
	}
	if len(events) != 1 {
		t.Fatalf("events: %v", events)
	}
	return events[0]
}

// none asserts that nothing has happened.
func none(t *testing.T, p *Poller) {
	t.Helper()
	if events, err := p.Poll(); len(events) != 0 || err != nil {
		t.Errorf("events: %v, %v", events, err)
	}
}

func TestEventsComeOnceAnEdge(t *testing.T) {
	p := newPoller(t)
	a, b := socketPair(t)
	token := Token{Slot: 7, Gen: 3}
	if err := p.Add(a, token); err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, p), (Event{Token: token, Writable: true}); got != want {
		t.Errorf("at first: %+v", got)
	}
	none(t, p)
	write(t, b, "x")
	// epoll says again that it is writable, a kqueue does not.
	if got := next(t, p); got.Token != token || !got.Readable || got.HalfOver || got.Over {
		t.Errorf("with a byte: %+v", got)
	}
	none(t, p) // although it is still there
	write(t, b, "y")
	if got := next(t, p); !got.Readable {
		t.Errorf("with another byte: %+v", got)
	}
	if err := unix.Shutdown(b, unix.SHUT_WR); err != nil {
		t.Fatal(err)
	}
	if got := next(t, p); !got.HalfOver || got.Over || !got.Readable {
		t.Errorf("at the peer's half close: %+v", got)
	}
	unix.Close(b)
	if got := next(t, p); !got.Over {
		t.Errorf("at the peer's end: %+v", got)
	}
	unix.Close(a)
	none(t, p)
}

func TestWritableComesBackWhenThereIsRoom(t *testing.T) {
	p := newPoller(t)
	a, b := socketPair(t)
	defer unix.Close(a)
	defer unix.Close(b)
	if err := p.Add(a, Token{}); err != nil {
		t.Fatal(err)
	}
	next(t, p)
	block := make([]byte, 4096)
	for {
		if _, err := unix.Write(a, block); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	none(t, p)
	for {
		if _, err := unix.Read(b, block); err == unix.EAGAIN {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	if got := next(t, p); !got.Writable {
		t.Errorf("%+v", got)
	}
}

// More descriptors than one call fetches: each is reported, over several calls, none twice.
func TestMoreEventsThanABatch(t *testing.T) {
	const n = 2*batch + 10
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil || limit.Cur < 2*n+100 {
		t.Skipf("only %d descriptors allowed", limit.Cur)
	}
	p := newPoller(t)
	for i := range n {
		a, b := socketPair(t)
		defer unix.Close(a)
		defer unix.Close(b)
		if err := p.Add(a, Token{Slot: int32(i)}); err != nil {
			t.Fatal(err)
		}
	}
	seen := map[int32]bool{}
	for len(seen) < n {
		events, err := p.Wait(time.Now().Add(patience))
		if err != nil {
			t.Fatal(err)
		}
		if len(events) == 0 {
			t.Fatalf("%d of %d", len(seen), n)
		}
		for _, e := range events {
			if seen[e.Slot] {
				t.Errorf("%d came twice", e.Slot)
			}
			seen[e.Slot] = true
		}
	}
	none(t, p)
}

// A wake-up among events ends the Wait too, and is not one of them.
func TestWakeAmongEvents(t *testing.T) {
	p := newPoller(t)
	a, b := socketPair(t)
	defer unix.Close(a)
	defer unix.Close(b)
	if err := p.Add(a, Token{Slot: 1}); err != nil {
		t.Fatal(err)
	}
	p.Wake()
	if got := next(t, p); got.Slot != 1 {
		t.Errorf("%+v", got)
	}
	none(t, p)
}

func TestAddOfABadDescriptor(t *testing.T) {
	p := newPoller(t)
	if err := p.Add(-1, Token{}); err == nil {
		t.Error("accepted")
	}
	none(t, p)
}

// The lowest free descriptor tells whether some were left open.
func TestPollersReturnTheirDescriptors(t *testing.T) {
	newPoller(t) // the runtime's own poller comes with the first
	lowest := func() int {
		fd, err := unix.Dup(1)
		if err != nil {
			t.Fatal(err)
		}
		unix.Close(fd)
		return fd
	}
	before := lowest()
	for range 10 {
		p, err := New()
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	if after := lowest(); after != before {
		t.Errorf("the lowest free descriptor is %d, was %d", after, before)
	}
}

// Directions that are ready together come as one event, though a kqueue has two of them.
func TestBothDirectionsAreOneEvent(t *testing.T) {
	p := newPoller(t)
	a, b := socketPair(t)
	defer unix.Close(a)
	defer unix.Close(b)
	write(t, b, "x")
	if err := p.Add(a, Token{Slot: 2}); err != nil {
		t.Fatal(err)
	}
	if got, want := next(t, p), (Event{Token: Token{Slot: 2}, Readable: true, Writable: true}); got != want {
		t.Errorf("%+v", got)
	}
	none(t, p)
}

// A closed descriptor takes its events with it, and its number serves the next one under that one's token.
func TestADescriptorsNumberIsUsedAgain(t *testing.T) {
	p := newPoller(t)
	for gen := range int32(5) {
		a, b := socketPair(t)
		token := Token{Slot: 1, Gen: gen}
		if err := p.Add(a, token); err != nil {
			t.Fatal(err)
		}
		if got := next(t, p); got.Token != token || got.HalfOver || got.Over {
			t.Errorf("%d: %+v", gen, got)
		}
		unix.Close(b)
		if gen%2 == 0 {
			if got := next(t, p); got.Token != token || !got.HalfOver || !got.Over {
				t.Errorf("%d, at the peer's end: %+v", gen, got)
			}
		}
		unix.Close(a)
		none(t, p)
	}
}

// A deadline that has passed already does not keep events from being seen: a loop whose clock names
// such a one would never serve a stream.
func TestEventsAreSeenWhenTheDeadlineHasPassed(t *testing.T) {
	p := newPoller(t)
	past := time.Now().Add(-time.Second)
	for range 2 { // the second time the deadline is the same
		a, b := socketPair(t)
		defer unix.Close(a)
		defer unix.Close(b)
		if err := p.Add(a, Token{Slot: 5}); err != nil {
			t.Fatal(err)
		}
		events, err := p.Wait(past)
		if err != nil || len(events) != 1 || events[0].Slot != 5 {
			t.Errorf("%v, %v", events, err)
		}
	}
}
