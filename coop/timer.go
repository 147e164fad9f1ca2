package coop

import "time"

// A Timer calls a function on its loop when its time has come. It can be embedded in a larger struct
// and armed as often as needed without allocation. All methods: loop only.
type Timer struct {
	loop *Loop
	do   expirer
	pos  int32 // 1 + index in the loop's heap; 0 while not armed
}

// expirer is what a timer does. An interface instead of a func lets greenlets and timeouts be their
// own callback without a closure.
type expirer interface{ expire() }

type expireFunc func()

func (f expireFunc) expire() { f() }

// Init prepares the timer. It must come before the first Reset; while the timer is armed it panics.
func (t *Timer) Init(l *Loop, fn func()) {
	if t.pos != 0 {
		panic("coop: Init of a timer that is armed")
	}
	t.init(l, expireFunc(fn))
}

func (t *Timer) init(l *Loop, do expirer) { t.loop, t.do = l, do }

// Reset arms the timer to fire once, d after [Loop.Now], whether it was armed or not. That is cheap, but
// the loop may have read its clock a while ago: after a long computation the timer fires that much
// too early, where [Greenlet.Sleep], [Greenlet.WithTimeout] and [Loop.AfterFunc] would not. Timers
// with the same deadline fire in the order in which they were reset. A d of zero or less fires in
// this tick's timer phase, or in the next one's if it is over.
func (t *Timer) Reset(d time.Duration) {
	l := t.loop
	if l == nil {
		panic("coop: Reset of a timer without Init")
	}
	l.timerSeq++
	e := heapItem{at: l.in(d), seq: l.timerSeq, t: t}
	if t.pos == 0 {
		l.timers.push(e)
	} else {
		l.timers.fix(int(t.pos)-1, e)
	}
}

// in is the time d from now, or the end of time if that is further than a clock can count.
func (l *Loop) in(d time.Duration) time.Duration {
	now := l.Now()
	if at := now + max(d, 0); at >= now {
		return at
	}
	return 1<<63 - 1
}

// Stop disarms the timer. It reports whether the timer was armed.
func (t *Timer) Stop() bool {
	if t.pos == 0 {
		return false
	}
	t.loop.timers.remove(int(t.pos) - 1)
	return true
}

// Active reports whether the timer is armed.
func (t *Timer) Active() bool { return t.pos != 0 }

// at is the deadline of an armed timer.
func (t *Timer) at() time.Duration { return t.loop.timers[t.pos-1].at }

// AfterFunc returns a new timer that calls fn once, after d, never earlier. Loop only.
func (l *Loop) AfterFunc(d time.Duration, fn func()) *Timer {
	t := new(Timer)
	t.Init(l, fn)
	l.readClock()
	t.Reset(d)
	return t
}

// runTimers fires the timers that are due and were armed before the phase began: a timer that keeps
// re-arming itself for now does not hold the loop.
func (l *Loop) runTimers() {
	if len(l.timers) == 0 {
		return
	}
	now, last := l.Now(), l.timerSeq
	for len(l.timers) > 0 {
		e := l.timers[0]
		if e.at > now || e.seq > last {
			return
		}
		l.timers.remove(0)
		e.t.do.expire()
	}
}

// dropper is an expirer that has to know when its time will never come.
type dropper interface{ drop() }

// dropTimers is part of the loop's end.
func (l *Loop) dropTimers() {
	for n := len(l.timers); n > 0; n = len(l.timers) {
		t := l.timers[n-1].t
		l.timers.remove(n - 1)
		if d, ok := t.do.(dropper); ok {
			d.drop()
		}
	}
}

// timerHeap is a 4-ary heap: flatter than a binary one, and four children share a cache line or two.
// Deadlines stand in the heap itself, so that comparing touches no timer.
type timerHeap []heapItem

// keptTimers is the capacity below which a heap does not shrink.
const keptTimers = 1024

type heapItem struct {
	at  time.Duration
	seq uint64 // order of arming, the tie-break
	t   *Timer
}

func (a heapItem) before(b heapItem) bool {
	return a.at < b.at || a.at == b.at && a.seq < b.seq
}

func (h *timerHeap) push(e heapItem) {
	*h = append(*h, e)
	h.up(len(*h)-1, e)
}

func (h *timerHeap) remove(i int) {
	old := *h
	old[i].t.pos = 0
	last := len(old) - 1
	e := old[last]
	old[last] = heapItem{}
	*h = old[:last]
	if i < last {
		h.fix(i, e)
	}
	if cap(old) > keptTimers && last < cap(old)/4 {
		*h = append(make(timerHeap, 0, cap(old)/2), *h...)
	}
}

// fix puts e into place i and moves it to where it belongs.
func (h timerHeap) fix(i int, e heapItem) {
	if i > 0 && e.before(h[(i-1)/4]) {
		h.up(i, e)
		return
	}
	h.down(i, e)
}

func (h timerHeap) up(i int, e heapItem) {
	for i > 0 {
		parent := (i - 1) / 4
		if !e.before(h[parent]) {
			break
		}
		h.set(i, h[parent])
		i = parent
	}
	h.set(i, e)
}

func (h timerHeap) down(i int, e heapItem) {
	for {
		first := 4*i + 1
		if first >= len(h) {
			break
		}
		least := first
		for c := first + 1; c < min(first+4, len(h)); c++ {
			if h[c].before(h[least]) {
				least = c
			}
		}
		if !h[least].before(e) {
			break
		}
		h.set(i, h[least])
		i = least
	}
	h.set(i, e)
}

func (h timerHeap) set(i int, e heapItem) {
	h[i] = e
	e.t.pos = int32(i) + 1
}
