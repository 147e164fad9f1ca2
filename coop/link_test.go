package coop_test

import (
	"log"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
)

// #23, #28: links run once, in their order, after the end and before the joiners; #24: also one that is added
// when the greenlet is over, soon and not synchronously.
func TestLinkOrder(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		c := g.Spawn(func(g *coop.Greenlet) error {
			defer j.add("end")
			return g.Sleep(time.Second)
		})
		add := func(name string) { c.Link(func(got *coop.Greenlet) { j.add(name); wantSame(t, got, c) }) }
		add("1")
		c.Link(func(*coop.Greenlet) {
			j.add("2")
			add("added by 2")
			j.add("2 done")
		})
		add("3")
		if err := c.Join(g); err != nil {
			return err
		}
		j.add("joined")
		add("late")
		j.add("added")
		return g.Sleep(time.Second)
	})
	j.want(t, "end", "1", "2", "2 done", "3", "joined", "added", "added by 2", "late")
}

func wantSame(t *testing.T, got, want *coop.Greenlet) {
	t.Helper()
	if got != want {
		t.Error("another greenlet")
	}
}

// #23: links for one kind of end.
func TestLinksByKindOfEnd(t *testing.T) {
	for name, c := range map[string]struct {
		fn   func(*coop.Greenlet) error
		act  func(*coop.Greenlet)
		want string
	}{
		"returns":     {fn: func(*coop.Greenlet) error { return nil }, want: "success"},
		"fails":       {fn: func(*coop.Greenlet) error { return errBoom }, want: "failure"},
		"panics":      {fn: func(*coop.Greenlet) error { panic(errBoom) }, want: "failure"},
		"killed":      {fn: sleepLong, act: (*coop.Greenlet).Kill, want: "success"},
		"killed with": {fn: sleepLong, act: func(c *coop.Greenlet) { c.KillWith(errBoom) }, want: "failure"},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
				var j journal
				c1 := g.Spawn(c.fn)
				links := func() {
					c1.LinkFailure(func(*coop.Greenlet) { j.add("failure") })
					c1.Link(func(*coop.Greenlet) { j.add("any") })
					c1.LinkSuccess(func(*coop.Greenlet) { j.add("success") })
				}
				links()
				if c.act != nil {
					c.act(c1)
				}
				c1.Join(g)
				links() // after the end
				g.Sleep(1)
				if c.want == "failure" {
					j.want(t, "failure", "any", "failure", "any")
				} else {
					j.want(t, "any", "success", "any", "success")
				}
				return nil
			})
		})
	}
}

func sleepLong(g *coop.Greenlet) error { return g.Sleep(time.Hour) }

// #25
func TestUnlink(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		c := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		add := func(name string) *coop.Link { return c.Link(func(*coop.Greenlet) { j.add(name) }) }
		first, a, middle, b, last := add("first"), add("a"), add("middle"), add("b"), add("last")
		for _, k := range []*coop.Link{first, middle, last} {
			if !k.Unlink() {
				t.Error("too late")
			}
			if k.Unlink() {
				t.Error("twice")
			}
		}
		// One may take another back when both are about to run.
		var taken *coop.Link
		c.Link(func(*coop.Greenlet) { j.add("takes"); taken.Unlink() })
		taken = add("taken")
		failure := c.LinkFailure(func(*coop.Greenlet) { j.add("failure") })
		if err := c.Join(g); err != nil {
			return err
		}
		for _, k := range []*coop.Link{a, b, failure} {
			if k.Unlink() {
				t.Error("after it ran, or will not")
			}
		}
		return nil
	})
	j.want(t, "a", "b", "takes")
}

// #26
func TestLinkThatPanicsDoesNotStopLaterOnes(t *testing.T) {
	var j journal
	var reports []error
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnPanic: func(_ *coop.Loop, err *coop.PanicError) { reports = append(reports, err) }}
	runWith(t, o, func(g *coop.Greenlet) error {
		c := g.Spawn(func(*coop.Greenlet) error { return nil })
		c.Link(func(*coop.Greenlet) { j.add("1"); panic(errBoom) })
		c.Link(func(*coop.Greenlet) { j.add("2"); panic(errBoom) })
		c.Link(func(*coop.Greenlet) { j.add("3") })
		err := c.Join(g)
		j.add("joined")
		return err
	})
	j.want(t, "1", "2", "3", "joined")
	if len(reports) != 2 {
		t.Fatalf("reports: %v", reports)
	}
	wantErr(t, reports[0], errBoom)
}

// #27: a link hands the end over to an event or a queue.
func TestLinkToEventAndQueue(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var ev coop.Event
		q := coop.NewQueue[*coop.Greenlet](-1)
		slow := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(2) })
		fast := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(1) })
		for _, c := range []*coop.Greenlet{slow, fast} {
			c.Link(func(c *coop.Greenlet) { q.TryPut(c) })
		}
		slow.Link(func(*coop.Greenlet) { ev.Set() })
		if err := ev.Wait(g); err != nil {
			return err
		}
		a, _ := q.TryGet()
		b, _ := q.TryGet()
		if a != fast || b != slow {
			t.Error("order of ends")
		}
		return nil
	})
}

// #29: a failure is reported once, unless a link for failures takes care of it; panics always.
func TestLinksAndReports(t *testing.T) {
	fails := func(*coop.Greenlet) error { return errBoom }
	panics := func(*coop.Greenlet) error { panic(errBoom) }
	seen := func(*coop.Greenlet) {}
	for name, c := range map[string]struct {
		fn   func(*coop.Greenlet) error
		link func(*coop.Greenlet)
		want int
	}{
		"no link":        {fails, func(*coop.Greenlet) {}, 1},
		"plain link":     {fails, func(c *coop.Greenlet) { c.Link(seen) }, 1},
		"for success":    {fails, func(c *coop.Greenlet) { c.LinkSuccess(seen) }, 1},
		"for failure":    {fails, func(c *coop.Greenlet) { c.LinkFailure(seen) }, 0},
		"taken back":     {fails, func(c *coop.Greenlet) { c.LinkFailure(seen).Unlink() }, 1},
		"panic, failure": {panics, func(c *coop.Greenlet) { c.LinkFailure(seen) }, 1},
	} {
		t.Run(name, func(t *testing.T) {
			reports := 0
			o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { reports++ }}
			runWith(t, o, func(g *coop.Greenlet) error {
				c.link(g.Spawn(c.fn))
				return g.Sleep(time.Second)
			})
			if reports != c.want {
				t.Errorf("%d reports, want %d", reports, c.want)
			}
		})
	}
}

// Links of greenlets that have to be ended by force run too.
func TestLinksRunWhenTheLoopEndsItsGreenletsByForce(t *testing.T) {
	linked := false
	run(t, func(g *coop.Greenlet) error {
		g.Spawn(func(g *coop.Greenlet) error {
			for {
				g.Sleep(time.Second)
			}
		}).Link(func(*coop.Greenlet) { linked = true })
		return g.Yield()
	})
	if !linked {
		t.Error("link did not run")
	}
}

// #29: the log names the greenlet, its failure, and where it was spawned.
func TestUnhandledFailureIsLoggedWithItsSpawningPlace(t *testing.T) {
	var text strings.Builder
	old, flags := slog.Default(), log.Flags()
	slog.SetDefault(slog.New(slog.NewTextHandler(&text, nil)))
	defer func() { slog.SetDefault(old); log.SetOutput(os.Stderr); log.SetFlags(flags) }()
	run(t, func(g *coop.Greenlet) error {
		c := g.Spawn(func(*coop.Greenlet) error { return errBoom })
		c.SetName("printer")
		return g.Sleep(1)
	})
	for _, want := range []string{"printer", "boom", "link_test.go:"} {
		if !strings.Contains(text.String(), want) || strings.Count(text.String(), "\n") != 1 {
			t.Errorf("log lacks %q:\n%s", want, text.String())
		}
	}
}
