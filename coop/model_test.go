package coop_test

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"time"
)

// A model does what the package documents, in the plainest way: lists that are searched, one round after
// the other. It shares no code with the loop.
type model struct {
	program
	now    time.Duration
	seq    int // order of everything that has an order
	all    []*actor
	ready  []*actor
	jobs   []func()
	timers []*alarm
	flush  []func()
	events [events]modelEvent
	queues []*modelQueue
	log    []string
}

type status int

const (
	unborn   status = iota // in the ready list
	decided                // in the ready list, with an answer that nothing changes
	yielding               // in the ready list
	waiting
	acting
	gone
)

// An actor is a greenlet of the model.
type actor struct {
	id, script, pc int
	status         status
	answer         string // what its park returns
	killed         bool
	scopes         []*scope // around its step, the outermost first
	alarm          *alarm   // of its sleep
	list           *[]*actor
	value          int // that it waits to put
	joiners        []*actor
	result         string
}

type scope struct {
	d     time.Duration
	alarm *alarm
	owed  int // when it expired, while the actor has not been told
}

type alarm struct {
	at  time.Duration
	seq int
	do  func()
}

type modelEvent struct {
	set     bool
	waiters []*actor
}

type modelQueue struct {
	limit            int
	closed           bool
	stored           []int
	getters, putters []*actor
}

func modelOf(p program) []string {
	m := &model{program: p}
	for _, limit := range p.limits {
		m.queues = append(m.queues, &modelQueue{limit: limit})
	}
	for i := range p.starters {
		m.spawn(i)
	}
	for m.round() {
	}
	return m.log
}

// round is a tick. It reports whether there is anything left to do.
func (m *model) round() bool {
	for _, job := range take(&m.jobs) {
		job()
	}
	for _, a := range take(&m.ready) {
		m.resume(a)
	}
	began := m.seq
	for {
		i := m.next()
		if i < 0 || m.timers[i].at > m.now || m.timers[i].seq > began {
			break
		}
		due := m.timers[i]
		m.stop(due)
		due.do()
	}
	for _, f := range take(&m.flush) {
		f()
	}
	if len(m.jobs)+len(m.ready)+len(m.flush) > 0 {
		return true
	}
	i := m.next()
	if i < 0 {
		return false
	}
	m.now = max(m.now, m.timers[i].at)
	return true
}

func take[T any](list *[]T) []T {
	all := *list
	*list = nil
	return all
}

// next is the index of the timer that comes first, -1 if there is none.
func (m *model) next() int {
	if len(m.timers) == 0 {
		return -1
	}
	first := slices.MinFunc(m.timers, func(a, b *alarm) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.seq, b.seq))
	})
	return slices.Index(m.timers, first)
}

func (m *model) after(d time.Duration, do func()) *alarm {
	m.seq++
	a := &alarm{m.now + d, m.seq, do}
	m.timers = append(m.timers, a)
	return a
}

func (m *model) stop(a *alarm) {
	if i := slices.Index(m.timers, a); i >= 0 {
		m.timers = slices.Delete(m.timers, i, i+1)
	}
}

func (m *model) note(format string, args ...any) {
	m.log = append(m.log, fmt.Sprintf("%d ", m.now)+fmt.Sprintf(format, args...))
}

func (m *model) spawn(script int) {
	a := &actor{id: len(m.all), script: script}
	m.all = append(m.all, a)
	m.ready = append(m.ready, a)
}

func (m *model) resume(a *actor) {
	if a.status != unborn {
		m.finishStep(a, a.answer)
	} else if a.killed {
		m.end(a, "killed")
		return
	}
	a.status = acting
	for a.pc < len(m.scripts[a.script]) {
		s := m.scripts[a.script][a.pc]
		for _, d := range s.scopes {
			m.open(a, d)
		}
		answer, parked := m.do(a, s)
		if parked {
			return
		}
		m.finishStep(a, answer)
	}
	m.note("g%d over", a.id)
	if m.fails(a.script) {
		m.end(a, "boom")
	} else {
		m.end(a, "ok")
	}
}

func (m *model) finishStep(a *actor, answer string) {
	for _, s := range a.scopes {
		m.stop(s.alarm)
	}
	a.scopes = nil
	m.note("g%d.%d %s: %s", a.id, a.pc, m.scripts[a.script][a.pc].do, answer)
	a.pc++
}

func (m *model) end(a *actor, result string) {
	a.status, a.result = gone, result
	m.wakeAll(&a.joiners, a.outcome())
}

// outcome is the result as joiners see it: being killed is no failure.
func (a *actor) outcome() string {
	if a.result == "killed" {
		return "ok"
	}
	return a.result
}

// open begins a timeout.
func (m *model) open(a *actor, d time.Duration) {
	s := &scope{d: d}
	a.scopes = append(a.scopes, s)
	expire := func() {
		if !m.interrupt(a, "timeout "+strconv.Itoa(int(d))) {
			m.seq++
			s.owed = m.seq
		}
	}
	if d > 0 {
		s.alarm = m.after(d, expire)
	} else {
		expire()
	}
}

// interrupt ends the wait of an actor that has one.
func (m *model) interrupt(a *actor, why string) bool {
	switch a.status {
	case waiting:
		m.wake(a, why)
		return true
	case yielding:
		a.status, a.answer = decided, why
		return true
	}
	return false
}

func (m *model) wake(a *actor, answer string) {
	m.stop(a.alarm)
	if a.list != nil {
		*a.list = slices.DeleteFunc(*a.list, func(b *actor) bool { return a == b })
	}
	a.list, a.alarm = nil, nil
	a.status, a.answer = decided, answer
	m.ready = append(m.ready, a)
}

func (m *model) wakeAll(list *[]*actor, answer string) {
	for len(*list) > 0 {
		m.wake((*list)[0], answer)
	}
}

// mayPark reports whether a can park; if not, what it has been owed comes by way of the ready list.
func (m *model) mayPark(a *actor) bool {
	why := ""
	var first *scope
	for _, s := range a.scopes {
		if s.owed > 0 && (first == nil || s.owed < first.owed) {
			first = s
		}
	}
	switch {
	case a.killed:
		why = "killed"
	case first != nil:
		first.owed = 0
		why = "timeout " + strconv.Itoa(int(first.d))
	default:
		return true
	}
	a.status, a.answer = decided, why
	m.ready = append(m.ready, a)
	return false
}

func (m *model) waitIn(a *actor, list *[]*actor) {
	if m.mayPark(a) {
		a.status, a.list = waiting, list
		*list = append(*list, a)
	}
}

// do is one step. It returns the answer, or that the actor has parked.
func (m *model) do(a *actor, s step) (answer string, parked bool) {
	ev, q := &m.events[s.n%events], m.queues[s.n%len(m.queues)]
	other := m.all[s.n%len(m.all)]
	switch {
	case s.do == doYield, s.do == doSleep && s.d == 0:
		if m.mayPark(a) {
			a.status, a.answer = yielding, "ok"
			m.ready = append(m.ready, a)
		}
		return "", true
	case s.do == doSleep:
		if m.mayPark(a) {
			a.status = waiting
			a.alarm = m.after(s.d, func() { m.wake(a, "ok") })
		}
		return "", true
	case s.do == doSpawn:
		if len(m.all) == spawnLimit {
			return "no", false
		}
		m.spawn(s.n % len(m.scripts))
	case s.do == doKill:
		if other.status != gone && !other.killed {
			other.killed = true
			m.jobs = append(m.jobs, func() { m.interrupt(other, "killed") })
		}
	case s.do == doJoin:
		return m.join(a, other)
	case s.do == doSet:
		ev.set = true
		m.wakeAll(&ev.waiters, "ok")
	case s.do == doClear:
		ev.set = false
	case s.do == doWait:
		if !ev.set {
			m.waitIn(a, &ev.waiters)
			return "", true
		}
	case s.do == doTryPut:
		return strconv.FormatBool(m.tryPut(q, s.n)), false
	case s.do == doPut:
		return m.put(a, q, s.n)
	case s.do == doTryGet:
		v, ok := m.tryGet(q)
		return fmt.Sprint(v, ok), false
	case s.do == doGet:
		return m.get(a, q)
	case s.do == doCloseQ:
		q.closed = true
		m.wakeAll(&q.putters, "closed")
		m.wakeAll(&q.getters, "closed")
	case s.do == doPost:
		m.jobs = append(m.jobs, func() { m.note("posted by g%d", a.id) })
	case s.do == doTimer:
		m.after(s.d, func() { m.note("timer of g%d", a.id) })
	case s.do == doFlush:
		m.flush = append(m.flush, func() { m.note("flusher of g%d", a.id) })
	}
	return "ok", false
}

func (m *model) join(a, target *actor) (string, bool) {
	switch {
	case a == target:
		return "a greenlet cannot join itself", false
	case target.status == gone:
		return target.outcome(), false
	default:
		m.waitIn(a, &target.joiners)
		return "", true
	}
}

func (m *model) tryPut(q *modelQueue, v int) bool {
	switch {
	case q.closed:
		return false
	case len(q.getters) > 0:
		m.wake(q.getters[0], strconv.Itoa(v))
		return true
	case q.limit < 0 || len(q.stored) < q.limit:
		q.stored = append(q.stored, v)
		return true
	}
	return false
}

func (m *model) put(a *actor, q *modelQueue, v int) (string, bool) {
	switch {
	case m.tryPut(q, v):
		return "ok", false
	case q.closed:
		return "closed", false
	}
	a.value = v
	m.waitIn(a, &q.putters)
	return "", true
}

func (m *model) tryGet(q *modelQueue) (int, bool) {
	if len(q.putters) > 0 {
		first := q.putters[0]
		q.stored = append(q.stored, first.value)
		m.wake(first, "ok")
	}
	if len(q.stored) == 0 {
		return 0, false
	}
	v := q.stored[0]
	q.stored = q.stored[1:]
	return v, true
}

func (m *model) get(a *actor, q *modelQueue) (string, bool) {
	v, ok := m.tryGet(q)
	switch {
	case ok:
		return strconv.Itoa(v), false
	case q.closed:
		return "closed", false
	}
	m.waitIn(a, &q.getters)
	return "", true
}
