package main

import "iter"

// pullMany starts coroutines that yield for ever.
func pullMany(n int) (nexts []func() (struct{}, bool), stops []func()) {
	nexts, stops = make([]func() (struct{}, bool), n), make([]func(), n)
	for i := range n {
		nexts[i], stops[i] = iter.Pull(func(yield func(struct{}) bool) {
			for yield(struct{}{}) {
			}
		})
		nexts[i]()
	}
	return nexts, stops
}

func pullNext(n, coroutines int) (float64, error) {
	nexts, _ := pullMany(coroutines)
	return clocked(n, func() {
		for range n / coroutines {
			for _, next := range nexts {
				next()
			}
		}
	}), nil
}

func pullNothing(func(struct{}) bool) {}

func pullSpawn(n int) (float64, error) {
	return clocked(n, func() {
		for range n {
			next, _ := iter.Pull(pullNothing)
			next()
		}
	}), nil
}

func pullSpawnMany(n int) (float64, error) {
	return clocked(n, func() {
		nexts := make([]func() (struct{}, bool), n)
		for i := range nexts {
			nexts[i], _ = iter.Pull(pullNothing)
		}
		for _, next := range nexts {
			next()
		}
	}), nil
}

func pullParked(n int) (float64, error) {
	var stops []func()
	v, err := grown(n, func() { _, stops = pullMany(n) })
	stops[0]()
	return v, err
}

func pullEach(n int) (float64, error) {
	nexts, _ := pullMany(n)
	return clocked(n, func() {
		for _, next := range nexts {
			next()
		}
	}), nil
}
