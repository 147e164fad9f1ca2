package coop

import (
	"errors"
	"iter"
	"slices"
)

// A Waitable is something that becomes ready: a [Greenlet] or a [Task] when it is over, an [Event] when it is
// set, a [Future] when it has an outcome.
type Waitable interface {
	// awaited reports whether it is ready.
	awaited() bool

	// watch keeps n until it becomes ready, and rings it then; or until n is removed from the list that it
	// is in.
	watch(n *watcher)
}

var errNothing = errors.New("there is nothing to wait for")

// WaitAny parks g until one of objs is ready, and returns that. If several are ready already it returns the first
// of them. An error means that g was killed or timed out, or that objs is empty or contains g.
func WaitAny[W Waitable](g *Greenlet, objs ...W) (first W, err error) {
	if len(objs) == 0 {
		return first, errNothing
	}
	for _, o := range objs {
		if o.awaited() {
			return o, nil
		}
	}
	objs = slices.Clone(objs) // the caller's may change meanwhile
	w := watchAll(g, objs, 1)
	defer w.close()
	i, err := w.next()
	if err != nil {
		return first, err
	}
	return objs[i], nil
}

// Wait parks g until n of objs have become ready, all of them if n is less than one or more than there are,
// and returns them: first those that are ready already, in the order of objs, then the others as they become
// ready. Something that becomes ready counts, even if it is not any more when g runs. Something that stands
// in objs twice counts twice. If g is killed or times out, Wait returns that error, and what had become ready
// until then. It leaves nothing behind in objs. Objects of different types are waited for as
//
//	coop.Wait[coop.Waitable](g, 0, task, event)
//
// Events and futures must be of g's loop; greenlets and tasks may be of another.
// It costs three or four allocations; [WaitAny] costs none when something is ready already.
func Wait[W Waitable](g *Greenlet, n int, objs ...W) ([]W, error) {
	if n < 1 || n > len(objs) {
		n = len(objs)
	}
	if n == 0 {
		return nil, nil
	}
	var ready []W
	objs = slices.Clone(objs) // the caller's may change meanwhile
	w := watchAll(g, objs, n)
	defer w.close()
	for range n {
		i, err := w.next()
		if err != nil {
			return ready, err
		}
		if ready == nil {
			ready = make([]W, 0, n)
		}
		ready = append(ready, objs[i])
	}
	return ready, nil
}

// WaitEach yields objs as they become ready, in the order that [Wait] has. It ends early when g is killed or
// times out; g.Err() says so:
//
//	for task := range coop.WaitEach(g, tasks...) { … }
//	return g.Err()
//
// Leaving the loop early leaves nothing behind.
func WaitEach[W Waitable](g *Greenlet, objs ...W) iter.Seq[W] {
	return func(yield func(W) bool) {
		objs := slices.Clone(objs)
		w := watchAll(g, objs, len(objs))
		defer w.close()
		for range objs {
			i, err := w.next()
			if err != nil || !yield(objs[i]) {
				return
			}
		}
	}
}

// waiting is a greenlet that waits for several things. // loop
type waiting struct {
	g           *Greenlet
	nodes       []watcher
	first, last *watcher // those that are ready, in order, linked by next
	inner       bool     // g is parked for this
	err         error
}

// watchAll begins to watch objs, unless n of them are ready already.
func watchAll[W Waitable](g *Greenlet, objs []W, n int) *waiting {
	w := &waiting{g: g, nodes: make([]watcher, len(objs))}
	ready := 0
	for i, o := range objs {
		n := &w.nodes[i]
		n.w, n.at = w, int32(i)
		if o.awaited() {
			n.ready = true
			w.push(n)
			ready++
		}
	}
	if ready >= n {
		return w
	}
	for i, o := range objs {
		if n := &w.nodes[i]; !n.ready {
			o.watch(n)
		}
	}
	return w
}

func (w *waiting) push(n *watcher) {
	if w.last != nil {
		w.last.next = n
	} else {
		w.first = n
	}
	w.last = n
}

// next is the place of the next one that is ready.
func (w *waiting) next() (int32, error) {
	g := w.g
	for w.first == nil {
		if w.err != nil {
			return 0, w.err
		}
		if err := g.enter(); err != nil {
			return 0, err
		}
		w.inner, g.giveUp = true, w
		if err := g.park(); err != nil {
			return 0, err
		}
	}
	n := w.first
	if w.first = n.next; w.first == nil {
		w.last = nil
	}
	return n.at, nil
}

func (w *waiting) giveUp(*Greenlet) { w.inner = false }

func (w *waiting) close() {
	for i := range w.nodes {
		n := &w.nodes[i]
		if n.list != nil {
			n.list.remove(n)
		}
		if n.remote != nil {
			n.remote.leave()
		}
	}
}

// A watcher is the place of one thing in a wait for several.
type watcher struct {
	w          *waiting
	list       *watchList
	prev, next *watcher
	remote     *remoteJoin // a greenlet of another loop
	at         int32
	ready      bool
}

// ring says that it is ready.
func (n *watcher) ring() {
	w := n.w
	n.ready, n.remote = true, nil
	w.push(n)
	if w.inner {
		w.inner = false
		w.g.wake(nil)
	}
}

// watchList holds watchers in order. The first one's prev is the last.
type watchList struct{ head *watcher }

func (wl *watchList) add(n *watcher) {
	n.list = wl
	if wl.head == nil {
		wl.head, n.prev = n, n
		return
	}
	if wl.head.w.g.loop != n.w.g.loop {
		n.list = nil
		panic("coop: greenlets of two loops wait for the same thing")
	}
	n.prev = wl.head.prev
	n.prev.next = n
	wl.head.prev = n
}

func (wl *watchList) remove(n *watcher) {
	if n.next != nil {
		n.next.prev = n.prev
	} else {
		wl.head.prev = n.prev
	}
	if n == wl.head {
		wl.head = n.next
	} else {
		n.prev.next = n.next
	}
	n.list, n.prev, n.next = nil, nil, nil
}

// ring tells everyone in the list, in order, and empties it.
func (wl *watchList) ring() {
	for n := wl.head; n != nil; n = wl.head {
		wl.remove(n)
		n.ring()
	}
}

func (e *Event) awaited() bool    { return e.set }
func (e *Event) watch(n *watcher) { e.others.add(n) }

func (f *Future[T]) awaited() bool    { return f.done.set }
func (f *Future[T]) watch(n *watcher) { f.done.others.add(n) }

func (g *Greenlet) awaited() bool { return g.ended.Load() }

func (target *Greenlet) watch(n *watcher) {
	target.joined.Store(true)
	g := n.w.g
	switch {
	case target == g:
		n.w.err = ErrSelfJoin
	case target.loop == g.loop:
		target.extras().watchers.add(n)
	default:
		r := &remoteJoin{target: target, home: g.loop}
		if !target.loop.PostJob(r) {
			n.ring() // a loop ends its greenlets before it refuses jobs
			return
		}
		n.remote = r
		r.over.others.add(n)
	}
}
