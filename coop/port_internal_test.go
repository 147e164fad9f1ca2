package coop

import (
	"slices"
	"testing"
)

// What follows happens in windows of nanoseconds, or only when a loop is closed by force; here it is made to.

// asked returns a get on q as the home loop sees it.
func asked(l *Loop, q *Queue[int]) *getCall[int] {
	c := &getCall[int]{q: q}
	c.home, c.op, c.done = l, c, make(chan struct{})
	return c
}

func inLoop(t *testing.T, fn func(l *Loop)) {
	t.Helper()
	err := RunWith(LoopOptions{Clock: NewFakeClock()}, func(g *Greenlet) error { fn(g.loop); return nil })
	if err != nil {
		t.Fatal(err)
	}
}

func rest(q *Queue[int]) (all []int) {
	for v, ok := q.TryGet(); ok; v, ok = q.TryGet() {
		all = append(all, v)
	}
	return all
}

// #65: the getter gives up after its call has begun to be served.
func TestGetterGivesUpWhileItIsServed65(t *testing.T) {
	inLoop(t, func(l *Loop) {
		for name, c := range map[string]struct {
			q    *Queue[int]
			want []int
		}{
			"queue":    {NewQueue[int](3), []int{5, 2, 4}},
			"lifo":     {NewLIFOQueue[int](3), []int{4, 2, 5}},
			"priority": {NewPriorityQueue(3, func(a, b int) bool { return a < b }), []int{2, 4, 5}},
		} {
			for _, v := range []int{5, 2, 4} {
				c.q.TryPut(v)
			}
			get := asked(l, c.q)
			get.abandon()
			get.attempt()
			if got := rest(c.q); !slices.Equal(got, c.want) {
				t.Errorf("%s: %v is left, want %v", name, got, c.want)
			}
		}
	})
}

// #60: a value that comes back is before its equals.
func TestPutBackIsBeforeItsEquals60(t *testing.T) {
	q := NewPriorityQueue(-1, func(a, b int) bool { return a/10 < b/10 })
	for _, v := range []int{21, 11, 12, 13} {
		q.TryPut(v)
	}
	a, _ := q.TryGet()
	b, _ := q.TryGet()
	q.putBack(b)
	q.putBack(a)
	if got := rest(q); !slices.Equal(got, []int{11, 12, 13, 21}) {
		t.Errorf("got %v", got)
	}
}

// #55: a value that comes back while others are promised is the first of them: the getters get all in order.
func TestPutBackAmongPromised55(t *testing.T) {
	var got []int
	err := RunWith(LoopOptions{Clock: NewFakeClock()}, func(g *Greenlet) error {
		q := NewQueue[int](-1)
		for range 3 {
			g.Spawn(func(g *Greenlet) error {
				v, err := q.Get(g)
				got = append(got, v)
				return err
			})
		}
		g.Yield()
		q.TryPut(2)
		q.putBack(1)
		q.TryPut(3)
		return g.Yield()
	})
	if err != nil || !slices.Equal(got, []int{1, 2, 3}) {
		t.Errorf("got %v, %v", got, err)
	}
}

// #65: a putter is taken on while the getter that was there leaves: its value is in nevertheless.
func TestPutterIsServedWhileTheGetterGoes65(t *testing.T) {
	inLoop(t, func(l *Loop) {
		q := NewQueue[int](0)
		get := asked(l, q)
		get.attempt()
		get.abandon()
		q.accept(1) // as a put does that saw the getter before it left
		if got := rest(q); !slices.Equal(got, []int{1}) || get.place.on != nil {
			t.Errorf("got %v", got)
		}
	})
}

// #52: the asking loop was closed by force when the answer came: all goes back, to the next in line first.
func TestAnswerThatNobodyTakesGoesBack52(t *testing.T) {
	inLoop(t, func(home *Loop) {
		gone, err := NewLoop(LoopOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := gone.Close(); err != nil {
			t.Fatal(err)
		}
		dead := &Greenlet{loop: gone, state: dead}

		q, s := NewQueue[int](-1), NewSemaphore(0)
		get := asked(home, q)
		get.done, get.g = nil, dead
		get.attempt()
		next := asked(home, q)
		next.attempt()
		q.TryPut(1)
		if next.v != 1 || next.state.Load() != callClaimed {
			t.Error("the next one did not get it")
		}
		acquire := &acquireCall{s: s}
		acquire.home, acquire.op, acquire.g = home, acquire, dead
		acquire.attempt()
		s.Release()
		if s.Free() != 1 {
			t.Errorf("%d free", s.Free())
		}

		// The same when the answer comes home and finds the greenlet dead.
		q.TryPut(2)
		q.TryPut(3)
		get = asked(home, q)
		get.attempt()
		get.g = dead
		(*answerJob)(&get.call).RunOn(gone)
		home.runJobs()
		if got := rest(q); !slices.Equal(got, []int{2, 3}) {
			t.Errorf("%v is left", got)
		}
	})
}
