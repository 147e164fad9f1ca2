package coop_test

import (
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
)

// storm is how many rounds the tests of wake-ups go; COOP_STORM makes them longer.
func storm(short int) int {
	if n, err := strconv.Atoi(os.Getenv("COOP_STORM")); err == nil {
		return n * short
	}
	return short
}

// A post to a loop that is about to sleep, sleeps or wakes up is run, whatever the loop's timers do
// meanwhile: one post at a time, so that a lost wake-up is a hang.
func TestNoPostIsSleptOver(t *testing.T) {
	hangs(t)
	for _, timers := range []bool{false, true} {
		l := started(t, coop.LoopOptions{})
		if timers {
			onLoop(t, l, func() { // deadlines of all kinds, far and near
				var near, far coop.Timer
				near.Init(l, func() { near.Reset(time.Duration(1+rand.IntN(200)) * time.Microsecond) })
				far.Init(l, func() {})
				near.Reset(1)
				far.Reset(time.Hour)
			})
		}
		done := make(chan struct{})
		ping := func() { done <- struct{}{} }
		for i := range storm(3000) {
			if i%7 == 0 { // let it fall asleep, or nearly
				time.Sleep(time.Duration(rand.IntN(60)) * time.Microsecond)
			}
			if !l.Post(ping) {
				t.Fatal("refused")
			}
			<-done
		}
	}
}

// Two loops hand a job to and fro, each asleep whenever the other runs, while timers come due.
func TestLoopsThatWakeEachOther(t *testing.T) {
	hangs(t)
	a, b := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	for _, l := range []*coop.Loop{a, b} {
		onLoop(t, l, func() {
			var tick coop.Timer
			tick.Init(l, func() { tick.Reset(50 * time.Microsecond) })
			tick.Reset(1)
		})
	}
	done := make(chan struct{})
	rounds := storm(5000)
	var hit func(here, there *coop.Loop)
	hit = func(here, there *coop.Loop) {
		if rounds--; rounds == 0 {
			close(done)
			return
		}
		there.Post(func() { hit(there, here) })
	}
	a.Post(func() { hit(a, b) })
	<-done
}

// Sleepers on loops that sleep themselves are woken at every deadline: many that differ, many that are
// equal, and some that are given up while the loop sleeps towards them.
func TestNoDeadlineIsSleptOver(t *testing.T) {
	hangs(t)
	l := started(t, coop.LoopOptions{})
	var slept atomic.Int64
	var wg sync.WaitGroup
	const sleepers = 20
	each := storm(60)
	for s := range sleepers {
		wg.Add(1)
		l.Go(func(g *coop.Greenlet) error {
			defer wg.Done()
			rng := rand.New(rand.NewPCG(uint64(s), 1))
			for range each {
				d := time.Duration(1+rng.IntN(900)) * time.Microsecond
				if rng.IntN(3) == 0 {
					d = 500 * time.Microsecond
				}
				if rng.IntN(4) == 0 { // towards an hour, then not
					g.WithTimeout(d, func() error { return g.Sleep(time.Hour) })
				} else if err := g.Sleep(d); err != nil {
					return err
				}
				slept.Add(1)
			}
			return nil
		})
	}
	wg.Wait()
	if n := slept.Load(); n != int64(sleepers*each) {
		t.Errorf("%d sleeps of %d", n, sleepers*each)
	}
}
