package coop_test

import (
	"testing"

	"greenroom/coop"
)

// TestStreamReadBudgetLetsOthersGo has a stream whose next bytes always are there when it reads again,
// because its handler sees to that. Another stream has a byte to read, and a post, a timer and a greenlet
// wait: all of them come to their turn after a bounded number of bytes.
func TestStreamReadBudgetLetsOthersGo(t *testing.T) {
	forKinds(t, func(t *testing.T, l *coop.Loop, k kind) {
		local, feeder := k.pair(t)
		want := make(chan struct{})
		fed := make(chan struct{})
		go func() { // puts so much into the connection that a read comes back full
			chunk := noise(64 << 10)
			for range want {
				if _, err := feeder.Write(chunk); err != nil {
					t.Error(err)
				}
				fed <- struct{}{}
			}
		}()
		flood, other := newHandler(), newHandler()
		given, read := 0, 0 // bytes of the flood
		feed := func() {
			for given-read < 128<<10 {
				want <- struct{}{}
				<-fed
				given += 64 << 10
			}
		}
		turns := map[string]int{}
		note := func(what string) {
			if _, ok := turns[what]; !ok {
				turns[what] = read
			}
		}
		const all = 4
		over := make(chan struct{})
		var second *coop.Stream
		flood.read = func(s *coop.Stream, p []byte) {
			if read == 0 {
				second.Start()
				l.AfterFunc(0, func() { note("timer") })
				l.Spawn(func(*coop.Greenlet) error { note("greenlet"); return nil })
				l.Post(func() { note("post") })
			}
			read += len(p)
			if len(turns) < all && read < 64<<20 {
				feed()
				return
			}
			s.Close()
			close(over)
		}
		other.read = func(*coop.Stream, []byte) { note("stream") }
		a, err := l.Attach(local, flood)
		if err != nil {
			t.Fatal(err)
		}
		otherLocal, otherRemote := k.pair(t)
		second, err = l.Attach(otherLocal, other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := otherRemote.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		feed()
		onLoop(t, l, a.Start)
		<-over
		close(want)
		onLoop(t, l, func() {
			if len(turns) != all {
				t.Errorf("after %d bytes only these had a turn: %v", read, turns)
			}
			// Each waits for the next tick; in each tick the flood reads its share and at most one buffer
			// more. The other stream may be served by goroutines, and so be late for other reasons.
			const bound = 2 * (256 + 64) << 10
			for what, bytes := range turns {
				if bytes > bound && what != "stream" {
					t.Errorf("the %s waited for %d bytes, more than %d", what, bytes, bound)
				}
			}
		})
	})
}
