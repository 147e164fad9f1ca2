package main

import (
	"time"

	"greenroom/coop"
)

// onLoop runs fn as the first greenlet of a loop. What is still parked when fn returns is killed with the loop.
func onLoop(fn func(g *coop.Greenlet) (float64, error)) (v float64, err error) {
	err = coop.Run(func(g *coop.Greenlet) error {
		v, err = fn(g)
		return err
	})
	return v, err
}

func nothing(*coop.Greenlet) error { return nil }

func coopYield(n, greenlets int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		var err error
		return clocked(n, func() {
			gs := make([]*coop.Greenlet, greenlets)
			for i := range gs {
				gs[i] = g.Spawn(func(g *coop.Greenlet) error {
					for range n / greenlets {
						if err := g.Yield(); err != nil {
							return err
						}
					}
					return nil
				})
			}
			err = coop.JoinAll(g, gs...)
		}), err
	})
}

func coopSpawn(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		return clocked(n, func() {
			for range n {
				g.Spawn(nothing).Join(g)
			}
		}), nil
	})
}

func coopSpawnMany(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		var err error
		return clocked(n, func() {
			gs := make([]*coop.Greenlet, n)
			for i := range gs {
				gs[i] = g.Spawn(nothing)
			}
			err = coop.JoinAll(g, gs...)
		}), err
	})
}

func coopQueue(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		there, back := coop.NewQueue[int](-1), coop.NewQueue[int](-1)
		g.Spawn(func(g *coop.Greenlet) error {
			for v := range there.All(g) {
				back.Put(g, v)
			}
			return nil
		})
		return clocked(n, func() {
			for i := range n {
				there.Put(g, i)
				back.Get(g)
			}
		}), nil
	})
}

func coopFuture(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		return clocked(n, func() {
			for range n {
				f := coop.NewFuture[int]()
				g.Spawn(func(*coop.Greenlet) error { f.Set(1); return nil })
				f.Get(g)
			}
		}), nil
	})
}

func coopParked(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		var ready coop.Event
		return grown(n, func() {
			for range n {
				g.Spawn(ready.Wait)
			}
			g.Yield()
		})
	})
}

// coopWoken has n greenlets wait for one event. Each does then when it is woken, and the last one stops the clock.
func coopWoken(g *coop.Greenlet, n int, then func(*coop.Greenlet) error) float64 {
	var ready, done coop.Event
	left := n
	for range n {
		g.Spawn(func(g *coop.Greenlet) error {
			if err := ready.Wait(g); err != nil {
				return err
			}
			if left--; left == 0 {
				done.Set()
			}
			return then(g)
		})
	}
	g.Yield()
	return clocked(n, func() {
		ready.Set()
		done.Wait(g)
	})
}

func coopEventSet(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		var never coop.Event
		return coopWoken(g, n, never.Wait), nil
	})
}

func coopAsleep(g *coop.Greenlet) {
	for i := range sleeping {
		d := time.Hour + time.Duration(i)*time.Millisecond
		g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(d) })
	}
	g.Yield()
}

func coopSleep(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		coopAsleep(g)
		return coopWoken(g, n, func(g *coop.Greenlet) error { return g.Sleep(time.Hour) }), nil
	})
}

func coopTimeout(n int) (float64, error) {
	return onLoop(func(g *coop.Greenlet) (float64, error) {
		coopAsleep(g)
		return clocked(n, func() {
			for range n {
				g.StartTimeout(time.Hour).Close()
			}
		}), nil
	})
}
