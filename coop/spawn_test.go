package coop_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

// #2: it runs no sooner than asked, in order of deadline and, when equal, of spawning.
func TestSpawnLaterRunsAfterTheDelay(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		say := func(name string) func(*coop.Greenlet) error {
			return func(g *coop.Greenlet) error {
				j.add(fmt.Sprint(name, g.Loop().Now()))
				wantErr(t, g.WithTimeout(0, g.Yield), coop.ErrTimeout)
				return g.Sleep(time.Second) // its timer serves again, now to wake it
			}
		}
		gs := []*coop.Greenlet{
			g.SpawnLater(2*time.Second, say("b")),
			g.SpawnLater(time.Second, say("a")),
			g.Loop().SpawnLater(2*time.Second, say("c")),
			g.SpawnLater(0, say("now")),
			g.SpawnLater(-1, say("past")),
		}
		if err := coop.JoinAll(g, gs...); err != nil {
			return err
		}
		j.add(fmt.Sprint("all", g.Loop().Now()))
		return nil
	})
	j.want(t, "now0s", "past0s", "a1s", "b2s", "c2s", "all3s")
}

// #2, #14: killed before its start it never runs, ends at once, and its links fire.
func TestSpawnLaterKilledBeforeItsStart(t *testing.T) {
	for name, d := range map[string]time.Duration{"an hour": time.Hour, "forever": coop.Forever} {
		t.Run(name, func(t *testing.T) {
			linked := false
			run(t, func(g *coop.Greenlet) error {
				victim := g.SpawnLater(d, func(*coop.Greenlet) error { t.Error("ran"); return nil })
				victim.Link(func(*coop.Greenlet) { linked = true })
				g.Yield()
				victim.Kill()
				if err := victim.Join(g); err != nil {
					return err
				}
				wantErr(t, victim.Result(), coop.ErrKilled)
				if now := g.Loop().Now(); now != 0 {
					t.Errorf("the clock moved to %v", now)
				}
				return nil
			})
			if !linked {
				t.Error("link did not fire")
			}
		})
	}
}

func TestSpawnLaterOnAClosingLoop(t *testing.T) {
	var waiting, born *coop.Greenlet
	clock := coop.NewFakeClock()
	runWith(t, coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		never := func(*coop.Greenlet) error { t.Error("ran"); return nil }
		waiting = g.SpawnLater(time.Hour, never)
		g.Spawn(func(g *coop.Greenlet) error {
			err := g.Sleep(coop.Forever)
			born = g.SpawnLater(time.Hour, never)
			return err
		})
		return g.Yield()
	})
	wantErr(t, waiting.Result(), coop.ErrKilled)
	wantErr(t, born.Result(), coop.ErrKilled)
	if clock.Now() != 0 {
		t.Errorf("the loop waited until %v", clock.Now())
	}
}

// #31: parent and spawning place. A parent that is over keeps nobody alive but itself.
func TestParentAndPlace(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var grandchild *coop.Greenlet
		child := g.Spawn(func(c *coop.Greenlet) error {
			grandchild = c.Loop().Spawn(func(g *coop.Greenlet) error { return g.Yield() })
			return nil
		})
		if child.Parent() != g || g.Parent() != nil {
			t.Error("parent")
		}
		if err := child.Join(g); err != nil {
			return err
		}
		if grandchild.Parent() != nil && grandchild.Parent() != child || child.Parent() != nil {
			t.Error("parents after the end")
		}
		var posted *coop.Greenlet
		g.Loop().Post(func() { posted = g.Loop().Spawn(func(g *coop.Greenlet) error { return g.Sleep(1) }) })
		g.Yield()
		if posted.Parent() != nil {
			t.Error("a job has no greenlet")
		}
		return posted.Join(g)
	})
}

func TestSpawnedIsTheCallersLine(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		nothing := func(*coop.Greenlet) error { return nil }
		l := g.Loop()
		gs := []*coop.Greenlet{ // the numbers are distances between lines
			g.Spawn(nothing),
			g.SpawnLater(0, nothing),
			l.Spawn(nothing),
			l.SpawnLater(0, nothing),
			coop.SpawnTask(g, func(*coop.Greenlet) (int, error) { return 0, nil }).Greenlet,
		}
		first := gs[0].Spawned()
		for i, c := range gs {
			at := c.Spawned()
			if filepath.Base(at.File) != "spawn_test.go" || at.Line != first.Line+i || !strings.Contains(at.Function, "TestSpawnedIsTheCallersLine") {
				t.Errorf("greenlet %d: %s %s:%d", i, at.Function, at.File, at.Line)
			}
		}
		err := g.Scope(func(s *coop.Scope) error {
			if at := s.Spawn(nothing).Spawned(); filepath.Base(at.File) != "spawn_test.go" {
				t.Errorf("in a scope: %s:%d", at.File, at.Line)
			}
			return nil
		})
		if err != nil {
			return err
		}
		// Those who come from outside have the beginning of their function.
		self := make(chan *coop.Greenlet, 1)
		l.Go(func(g *coop.Greenlet) error { self <- g; return nil })
		g.Sleep(1)
		for _, c := range []*coop.Greenlet{<-self, g} {
			if at := c.Spawned(); filepath.Base(at.File) != "spawn_test.go" || !strings.Contains(at.Function, "TestSpawnedIsTheCallersLine") {
				t.Errorf("%s %s:%d", at.Function, at.File, at.Line)
			}
		}
		return nil
	})
}

// #32: observers of spawns.
func TestOnSpawnSeesEveryGreenletBeforeItRuns(t *testing.T) {
	var j journal
	panics := 0
	o := coop.LoopOptions{
		Clock: coop.NewFakeClock(),
		OnSpawn: func(g *coop.Greenlet) {
			j.add(fmt.Sprint("spawned ", g.Parent() != nil))
			if g.Parent() != nil {
				panic(errBoom)
			}
		},
		OnPanic: func(*coop.Loop, *coop.PanicError) { panics++ },
	}
	runWith(t, o, func(g *coop.Greenlet) error {
		j.add("root runs")
		c := g.Spawn(func(*coop.Greenlet) error { j.add("child runs"); return nil })
		return c.Join(g)
	})
	j.want(t, "spawned false", "root runs", "spawned true", "child runs")
	if panics != 1 {
		t.Errorf("%d panics reported", panics)
	}
}

// #33: IDs are unique and never used again; names default to them.
func TestNamesAndIDs(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		seen := map[uint64]bool{g.ID(): true}
		for range 100 {
			c := g.Spawn(func(*coop.Greenlet) error { return nil })
			if seen[c.ID()] {
				t.Fatalf("id %d twice", c.ID())
			}
			seen[c.ID()] = true
			if want := fmt.Sprintf("greenlet-%d", c.ID()); c.Name() != want {
				t.Errorf("name %q, want %q", c.Name(), want)
			}
			c.SetName("worker")
			if err := c.Join(g); err != nil {
				return err
			}
			if c.Name() != "worker" {
				t.Errorf("name %q after the end", c.Name())
			}
		}
		return nil
	})
}

// #35, and #5: exactly one change from not over to over, after the function's own last statement.
func TestGreenletIsNotOverDuringItsOwnEnd(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var self *coop.Greenlet
		during := true
		self = g.Spawn(func(g *coop.Greenlet) error {
			defer func() { during = g.Ended() || g.Successful() }()
			return g.Yield()
		})
		self.Link(func(c *coop.Greenlet) {
			if c != self || !c.Ended() || !c.Successful() {
				t.Error("not over when its links run")
			}
		})
		if err := self.Join(g); err != nil {
			return err
		}
		if during {
			t.Error("over before its end")
		}
		return nil
	})
}

// #30: one that recurses deeply, panics or leaves does not disturb the others.
func TestDeepRecursionAndPanicAreNobodyElsesBusiness(t *testing.T) {
	runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
		var down func(g *coop.Greenlet, n int) (int, error)
		down = func(g *coop.Greenlet, n int) (int, error) {
			var pad [64]byte
			if n == 0 {
				return 0, g.Yield()
			}
			pad[n%64] = 1
			m, err := down(g, n-1)
			return m + int(pad[n%64]), err
		}
		deep := coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return down(g, 20_000) })
		bad := g.Spawn(func(g *coop.Greenlet) error { down(g, 10_000); panic(errBoom) })
		good := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		if n, err := deep.Get(g); n != 20_000 || err != nil {
			t.Errorf("got %d, %v", n, err)
		}
		wantErr(t, bad.Join(g), errBoom)
		return good.Join(g)
	})
}
