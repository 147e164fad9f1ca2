package coop

import (
	"cmp"
	"iter"
	"maps"
	"slices"
)

// Apply runs fn in a greenlet of the pool, waits for it, and returns what it returned. A member of the
// pool that calls Apply runs fn itself, so that workers which ask their own pool for help cannot wait for
// each other. If g is killed or times out meanwhile, the worker is killed. gevent: Pool.apply.
func Apply[R any](g *Greenlet, p *Pool, fn func(*Greenlet) (R, error)) (R, error) {
	if p.Has(g) {
		return fn(g)
	}
	var v, zero R
	worker, err := p.Spawn(g, func(g *Greenlet) (err error) {
		v, err = fn(g)
		return err
	})
	if err != nil {
		return zero, err
	}
	if err := worker.await(g); err != nil {
		worker.Kill()
		return zero, err
	}
	if err := worker.Result(); err != nil {
		return zero, err
	}
	return v, nil
}

// Map calls fn for each of in, in greenlets of the pool, and returns the results in the order of in. If one
// fails, the others are killed, and Map returns the error of the one that failed first in time. It returns
// when all of them have ended. If g is killed or times out they are killed too. gevent: Pool.map.
func Map[A, R any](g *Greenlet, p *Pool, in []A, fn func(*Greenlet, A) (R, error)) ([]R, error) {
	out := make([]R, len(in))
	values := func(yield func(A) bool) {
		for _, a := range in {
			if !yield(a) {
				return
			}
		}
	}
	for r := range IMapUnordered(g, p, values, fn) {
		if r.Err != nil {
			return nil, r.Err
		}
		out[r.Index] = r.Value
	}
	return out, nil
}

// A Result is what became of one value of a mapping.
type Result[A, R any] struct {
	Index int   // its place among the values, from 0; -1 if the mapping itself was broken off
	In    A     // the value
	Value R     // what the function returned
	Err   error // the error it returned; a *PanicError if it panicked, ErrKilled if its greenlet was killed
}

// IMap calls fn for each value of in, in greenlets of the pool, and yields the results in the order
// of in, each as soon as it is there. It asks in for values only as there is room in the pool, and no more
// than twice the pool's size of values, or 1024 in a pool without limit, are under way or wait to be taken.
// An error of fn is in its result, and ends nothing.
//
// The values are asked for in g, between two results, so that in may park g, as [Queue.All] does; results
// wait meanwhile. There is no other greenlet than the workers. When the loop over the results is left, or in
// panics, workers that are not done are killed, and, unless it is a panic, waited for. When g is killed or times
// out, the last result has Index -1 and that error. A member of the pool may use it: what finds no room
// runs in the member itself. gevent: Pool.imap.
func IMap[A, R any](g *Greenlet, p *Pool, in iter.Seq[A], fn func(*Greenlet, A) (R, error)) iter.Seq[Result[A, R]] {
	return IMapWith(g, p, MapOptions{}, in, fn)
}

// IMapUnordered is [IMap], and yields the results in the order in which they come. gevent:
// Pool.imap_unordered.
func IMapUnordered[A, R any](g *Greenlet, p *Pool, in iter.Seq[A], fn func(*Greenlet, A) (R, error)) iter.Seq[Result[A, R]] {
	return IMapWith(g, p, MapOptions{Unordered: true}, in, fn)
}

// MapOptions are for [IMapWith].
type MapOptions struct {
	// Unordered has results yielded as they come.
	Unordered bool

	// MaxPending bounds the values that are under way or whose results nobody has taken. 0 is twice the
	// size of the pool, or 1024 if it has no limit. gevent: maxsize.
	MaxPending int
}

const defaultMaxPending = 1024

// IMapWith is [IMap] with options.
func IMapWith[A, R any](g *Greenlet, p *Pool, o MapOptions, in iter.Seq[A], fn func(*Greenlet, A) (R, error)) iter.Seq[Result[A, R]] {
	if o.MaxPending <= 0 {
		o.MaxPending = 2 * p.size
		if p.size == 0 {
			o.MaxPending = defaultMaxPending
		}
	}
	return func(yield func(Result[A, R]) bool) {
		m := &mapping[A, R]{g: g, pool: p, o: o, fn: fn, yield: yield, workers: make(map[*Greenlet]struct{})}
		defer m.abort()
		for a := range in {
			if !m.take(a) {
				m.end()
				return
			}
		}
		for m.pending() > 0 {
			if !m.progress() {
				break
			}
		}
		m.end()
	}
}

// mapping is one run of an IMap.
type mapping[A, R any] struct {
	g       *Greenlet
	pool    *Pool
	o       MapOptions
	fn      func(*Greenlet, A) (R, error)
	yield   func(Result[A, R]) bool
	index   int
	tasks   ring[*task[A, R]] // ordered: all that are not yet yielded; unordered: those that are done
	workers map[*Greenlet]struct{}
	ready   waitList // g, when it waits for a result
}

type task[A, R any] struct {
	Result[A, R]
	done bool
}

// pending is the number of values whose results have not been yielded.
func (m *mapping[A, R]) pending() int {
	if m.o.Unordered {
		return m.tasks.n + len(m.workers)
	}
	return m.tasks.n
}

// take starts the work on a when there is room, and then makes room for the next value, yielding results
// meanwhile. It reports whether to go on.
func (m *mapping[A, R]) take(a A) bool {
	t := &task[A, R]{Result: Result[A, R]{Index: m.index, In: a}}
	m.index++
	for !m.pool.tryAcquire() {
		if m.pending() > 0 {
			if !m.progress() {
				return false
			}
			continue
		}
		if m.pool.Has(m.g) {
			m.runHere(t)
			return m.progress()
		}
		if err := m.pool.acquire(m.g); err != nil {
			return m.breakOff(err)
		}
		break
	}
	m.start(t)
	for m.hasResult() || m.pending() >= m.o.MaxPending || m.pending() > 0 && m.pool.Full() {
		if !m.progress() {
			return false
		}
	}
	return true
}

func (m *mapping[A, R]) start(t *task[A, R]) {
	worker := m.pool.start(m.g, func(g *Greenlet) (err error) {
		t.Value, err = m.fn(g, t.In)
		return err
	}, func(worker *Greenlet) {
		delete(m.workers, worker)
		t.done, t.Err = true, worker.result()
		if m.o.Unordered {
			m.tasks.push(t)
		}
		m.ready.wakeAll(nil)
	})
	worker.joined.Store(true) // its failure is in the result
	m.workers[worker] = struct{}{}
	if !m.o.Unordered {
		m.tasks.push(t)
	}
}

// runHere works on t in g.
func (m *mapping[A, R]) runHere(t *task[A, R]) {
	func() {
		defer func() {
			if v := recover(); v != nil {
				t.Err = recovered(v)
			}
		}()
		t.Value, t.Err = m.fn(m.g, t.In)
	}()
	t.done = true
	m.tasks.push(t)
}

// hasResult reports whether there is one to be yielded.
func (m *mapping[A, R]) hasResult() bool { return m.tasks.n > 0 && (*m.tasks.at(0)).done }

// progress yields a result, or waits for the next worker to end, which brings one, or makes room in the
// pool. It reports whether to go on.
func (m *mapping[A, R]) progress() bool {
	if m.hasResult() {
		return m.yield(m.tasks.removeAt(0).Result)
	}
	if err := m.g.waitOn(&m.ready, ParkedResult); err != nil {
		return m.breakOff(err)
	}
	return true
}

func (m *mapping[A, R]) breakOff(err error) bool {
	m.yield(Result[A, R]{Index: -1, Err: err})
	return false
}

// end kills the workers that are left and waits for them.
func (m *mapping[A, R]) end() {
	m.abort()
	for len(m.workers) > 0 {
		if m.g.waitOn(&m.ready, ParkedResult) != nil {
			return // g is in a hurry; the workers end without it
		}
	}
}

func (m *mapping[A, R]) abort() {
	byAge := func(a, b *Greenlet) int { return cmp.Compare(a.id, b.id) }
	for _, worker := range slices.SortedFunc(maps.Keys(m.workers), byAge) {
		worker.Kill()
	}
}
