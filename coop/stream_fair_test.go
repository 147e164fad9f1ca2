package coop_test

import (
	"net"
	"testing"

	"greenroom/coop"
)

// TestStreamReadBudgetLetsOthersGo has a stream whose next bytes always are there when it reads again,
// because its handler sees to that. Another stream has one byte, a post and a timer wait, and a
// greenlet yields: all of them come to their turn after a bounded number of bytes.
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
			for given-read < 64<<10 {
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
		flood.read = func(s *coop.Stream, p []byte) {
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
		b, err := l.Attach(otherLocal, other)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := otherRemote.Write([]byte("x")); err != nil {
			t.Fatal(err)
		}
		feed()
		onLoop(t, l, func() {
			a.Start()
			b.Start()
			l.AfterFunc(0, func() { l.AfterFunc(1, func() { note("timer") }) })
			l.Spawn(func(g *coop.Greenlet) error {
				for range 3 {
					if err := g.Yield(); err != nil {
						return err
					}
				}
				note("greenlet")
				return nil
			})
			l.Post(func() { l.Post(func() { note("post") }) })
		})
		<-over
		close(want)
		onLoop(t, l, func() {
			if len(turns) != all {
				t.Errorf("after %d bytes only these had a turn: %v", read, turns)
			}
			// The goroutines of a wrapped connection take turns with the loop, one buffer at a time,
			// and may be late with the other's byte; on descriptors the bound is that of some ticks.
			if _, bare := local.(*net.TCPConn); bare && turns["post"] > 4*(256+64)<<10 {
				t.Errorf("bytes before the others' turns: %v", turns)
			}
		})
	})
}
