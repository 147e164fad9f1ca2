package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"greenroom/coop"
)

func failing(d time.Duration, err error) func(*coop.Greenlet) error {
	return func(g *coop.Greenlet) error {
		if e := g.Sleep(d); e != nil {
			return e
		}
		return err
	}
}

// #67: join returns what failed first in time; failures are reported to nobody else; and only once.
func TestGroupJoin67(t *testing.T) {
	reported := 0
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { reported++ }}
	runWith(t, o, func(g *coop.Greenlet) error {
		var gr coop.Group
		wantErr(t, gr.Join(g), nil)
		gr.Spawn(g, failing(3*time.Second, errors.New("later")))
		gr.Spawn(g, failing(2*time.Second, errBoom))
		gr.Spawn(g, failing(time.Second, nil))
		killed := gr.Spawn(g, failing(time.Hour, nil))
		g.Loop().AfterFunc(time.Second, func() { // while somebody joins
			gr.Spawn(g, failing(4*time.Second, errors.New("last")))
			killed.Kill()
		})
		var second error
		other := g.Spawn(func(g *coop.Greenlet) error { second = gr.Join(g); return nil })
		wantErr(t, gr.Join(g), errBoom)
		if now := g.Loop().Now(); now != 5*time.Second {
			t.Errorf("joined after %v", now)
		}
		if err := other.Join(g); err != nil {
			return err
		}
		wantErr(t, second, errBoom)
		wantErr(t, gr.Join(g), nil)
		return nil
	})
	if reported != 0 {
		t.Errorf("%d failures were reported", reported)
	}
}

// #67: a failure that nobody waits for is reported, and the next Join knows of it too.
func TestGroupFailureBeforeJoin67(t *testing.T) {
	reported := 0
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { reported++ }}
	runWith(t, o, func(g *coop.Greenlet) error {
		var gr coop.Group
		gr.Spawn(g, failing(0, errBoom))
		settle(g)
		wantErr(t, gr.Join(g), errBoom)
		wantErr(t, gr.Join(g), nil)
		return nil
	})
	if reported != 1 {
		t.Errorf("reported %d times", reported)
	}
}

// #67: add, discard, membership, iteration while the group changes.
func TestGroupMembers67(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var gr coop.Group
		forever := new(coop.Event).Wait
		a, b := g.Spawn(forever), g.Spawn(forever)
		ended := g.Spawn(failing(0, nil))
		settle(g)
		for _, x := range []*coop.Greenlet{b, a, b, ended} {
			wantErr(t, gr.Add(x), nil)
		}
		c := gr.Spawn(g, forever)
		if got := slices.Collect(gr.All()); !slices.Equal(got, []*coop.Greenlet{b, a, c}) {
			t.Errorf("members %v", got)
		}
		n := 0
		for x := range gr.All() {
			gr.Discard(x)
			gr.Discard(x)
			gr.Spawn(g, forever)
			n++
		}
		if n != 3 || gr.Len() != 3 || gr.Has(a) {
			t.Errorf("%d seen, %d members", n, gr.Len())
		}
		gr.Kill()
		if err := gr.Join(g); err != nil {
			return err
		}
		if a.Ended() || gr.Len() != 0 {
			t.Error("killed one who was discarded")
		}
		wantErr(t, gr.Add(a), nil)
		a.Kill()
		settle(g)
		if gr.Len() != 0 {
			t.Error("the dead stay members")
		}
		wantErr(t, gr.Add(g), nil)
		wantErr(t, gr.Join(g), coop.ErrSelfJoin)
		wantErr(t, gr.KillAll(g), coop.ErrSelfJoin)
		gr.Discard(g)
		return coop.KillAll(g, b, c)
	})
}

func TestGroupIsOfOneLoop67(t *testing.T) {
	other := started(t, coop.LoopOptions{})
	var foreign *coop.Greenlet
	on(t, other, func(g *coop.Greenlet) error {
		foreign = g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Hour) })
		return nil
	})
	run(t, func(g *coop.Greenlet) error {
		var gr coop.Group
		p := coop.NewPool(2)
		gr.Spawn(g, new(coop.Event).Wait)
		p.TrySpawn(g, new(coop.Event).Wait)
		wantErr(t, gr.Add(foreign), coop.ErrOtherLoop)
		wantErr(t, p.Add(g, foreign), coop.ErrOtherLoop)
		if p.Free() != 1 {
			t.Errorf("%d free", p.Free())
		}
		return nil
	})
}

// #67: kill: those not yet started too, each told once, and those who are added while it waits.
func TestGroupKillAll67(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		var gr coop.Group
		member := func(name string, cleanUp func()) func(g *coop.Greenlet) error {
			return func(g *coop.Greenlet) error {
				err := g.Sleep(time.Hour)
				j.add(name)
				cleanUp()
				return err
			}
		}
		nothing := func() {}
		gr.Spawn(g, member("a", func() { gr.Spawn(g, member("late", nothing)) }))
		gr.Spawn(g, member("b", nothing))
		g.Yield()
		gr.Spawn(g, member("not started", nothing))
		gr.Kill()
		gr.Kill()
		err := gr.KillAll(g)
		if gr.Len() != 0 {
			t.Errorf("%d left", gr.Len())
		}
		wantErr(t, gr.KillAll(g), nil)
		return err
	})
	j.want(t, "a", "b")
}

// #67: one who loses patience with a member that does not end.
func TestGroupKillAllTimesOut67(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var gr coop.Group
		var release coop.Event
		gr.Spawn(g, func(g *coop.Greenlet) error {
			for !release.IsSet() {
				g.Yield()
			}
			return nil
		})
		g.Yield()
		g.Loop().AfterFunc(0, func() {})
		err := g.WithTimeout(0, func() error { return gr.KillAll(g) })
		wantErr(t, err, coop.ErrTimeout)
		release.Set()
		return gr.KillAll(g)
	})
}

// #68
func TestPool68(t *testing.T) {
	var j journal
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(2)
		if p.Size() != 2 || p.Free() != 2 || p.Full() {
			t.Error("not empty at first")
		}
		running, most := 0, 0
		for i := range 6 {
			_, err := p.Spawn(g, func(g *coop.Greenlet) error {
				running++
				most = max(most, running)
				j.add(fmt.Sprint(i, " at ", g.Loop().Now()))
				err := g.Sleep(time.Duration(1+i%2) * time.Second)
				running--
				return err
			})
			if err != nil {
				return err
			}
		}
		if !p.Full() || p.Len() != 2 {
			t.Error("not full")
		}
		if _, ok := p.TrySpawn(g, func(*coop.Greenlet) error { return nil }); ok {
			t.Error("spawned in a full pool")
		}
		err := g.WithTimeout(1, func() error { return p.WaitAvailable(g) })
		wantErr(t, err, coop.ErrTimeout)
		if err := p.WaitAvailable(g); err != nil {
			return err
		}
		if x, ok := p.TrySpawn(g, new(coop.Event).Wait); !ok || !p.Has(x) {
			t.Error("was not available")
		}
		p.Kill()
		err = p.Join(g)
		if most != 2 || p.Free() != 2 {
			t.Errorf("%d ran at a time, %d free at the end", most, p.Free())
		}
		return err
	})
	j.want(t, "0 at 0s", "1 at 0s", "2 at 1s", "3 at 2s", "4 at 2s", "5 at 3s")
}

// #68: adding what runs already.
func TestPoolAdd68(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(1)
		forever := new(coop.Event).Wait
		a, b := g.Spawn(forever), g.Spawn(forever)
		g.Yield()
		for range 2 {
			if !p.TryAdd(a) {
				t.Error("there was room, or it was in already")
			}
		}
		if p.TryAdd(b) {
			t.Error("there was no room")
		}
		wantErr(t, p.Add(g, a), nil)
		err := g.WithTimeout(time.Second, func() error { return p.Add(g, b) })
		wantErr(t, err, coop.ErrTimeout)
		waiter := g.Spawn(func(g *coop.Greenlet) error { return p.Add(g, b) })
		g.Yield()
		b.Kill() // ends while somebody waits for room for it
		settle(g)
		p.Discard(a)
		if err := waiter.Join(g); err != nil {
			return err
		}
		if p.Free() != 1 || p.Len() != 0 {
			t.Errorf("%d free, %d members", p.Free(), p.Len())
		}
		return coop.KillAll(g, a)
	})
}

// #68: one that is killed before it begins gives its place back.
func TestPoolPlaceOfOneThatNeverBegan68(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		p := coop.NewPool(1)
		x, err := p.Spawn(g, new(coop.Event).Wait)
		if err != nil {
			return err
		}
		x.Kill()
		if err := p.WaitAvailable(g); err != nil {
			return err
		}
		if p.Free() != 1 {
			t.Errorf("%d free", p.Free())
		}
		return nil
	})
}

func TestPoolWithoutLimit68(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var p coop.Pool
		for range 100 {
			if _, ok := p.TrySpawn(g, new(coop.Event).Wait); !ok {
				t.Fatal("full")
			}
		}
		if p.Full() || p.Len() != 100 {
			t.Error("has a limit")
		}
		return p.KillAll(g)
	})
}

// #67: one greenlet may be in several groups, and have joiners besides.
func TestGroupsOverlap67(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		x := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		joiner := g.Spawn(x.Join)
		g.Yield()
		groups := make([]coop.Group, 3)
		p := coop.NewPool(1)
		for i := range groups {
			wantErr(t, groups[i].Add(x), nil)
		}
		if !p.TryAdd(x) {
			t.Error("there was room")
		}
		groups[1].Discard(x)
		for i := range groups {
			if groups[i].Has(x) != (i != 1) {
				t.Errorf("group %d", i)
			}
		}
		for i := range groups {
			if err := groups[i].Join(g); err != nil {
				return err
			}
		}
		if !x.Ended() || p.Full() {
			t.Error("the pool does not know that it is over")
		}
		return joiner.Join(g)
	})
}
