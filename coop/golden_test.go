package coop_test

import (
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

// founding runs the program the project began with: four greenlets that print, sleep and print again.
func founding(t *testing.T, clock coop.Clock, unit time.Duration, bar, coo, doo int) []string {
	t.Helper()
	var lines []string
	say := func(s string) { lines = append(lines, s) }
	sleeper := func(name string, units int) func(*coop.Greenlet) error {
		return func(g *coop.Greenlet) error {
			say("Explicit context to " + name)
			err := g.Sleep(time.Duration(units) * unit)
			say("Implicit context switch back to " + name)
			return err
		}
	}
	err := coop.RunWith(coop.LoopOptions{Clock: clock}, func(g *coop.Greenlet) error {
		return coop.JoinAll(g,
			g.Spawn(func(g *coop.Greenlet) error {
				say("Running in foo")
				err := g.Yield()
				say("Explicit context switch to foo again")
				return err
			}),
			g.Spawn(sleeper("bar", bar)),
			g.Spawn(sleeper("coo", coo)),
			g.Spawn(sleeper("doo", doo)),
		)
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func TestFoundingPrograms(t *testing.T) {
	begin := []string{
		"Running in foo",
		"Explicit context to bar",
		"Explicit context to coo",
		"Explicit context to doo",
		"Explicit context switch to foo again",
	}
	for _, c := range []struct {
		bar, coo, doo int
		back          []string
	}{
		{3, 2, 1, []string{"doo", "coo", "bar"}},
		{2, 1, 3, []string{"coo", "bar", "doo"}},
	} {
		want := slices.Clone(begin)
		for _, name := range c.back {
			want = append(want, "Implicit context switch back to "+name)
		}
		if got := founding(t, coop.NewFakeClock(), time.Hour, c.bar, c.coo, c.doo); !slices.Equal(got, want) {
			t.Errorf("on a fake clock:\n got %q\nwant %q", got, want)
		}
		if got := founding(t, nil, 10*time.Millisecond, c.bar, c.coo, c.doo); !slices.Equal(got, want) {
			t.Errorf("on the real clock:\n got %q\nwant %q", got, want)
		}
	}
}
