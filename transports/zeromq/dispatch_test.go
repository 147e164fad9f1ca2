package zeromq

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/hub"
)

// dispatchModel drives a dispatcher at random and knows what must hold.
type dispatchModel struct {
	t       *rapid.T
	d       *dispatcher
	now     time.Time
	lanes   []*lane
	jobs    []*job // all that were taken, by lane in order
	outcome map[*job][]outcome
	workers []*worker
	held    map[*worker]int // jobs that it has not answered
	clogged bool            // the next send fails
}

var modelEvents = []string{"a", "b", "connect"}

func newDispatchModel(t *rapid.T) *dispatchModel {
	m := &dispatchModel{t: t, now: time.Unix(1000, 0), outcome: make(map[*job][]outcome), held: make(map[*worker]int)}
	m.d = newDispatcher(dispatchLimits{
		jobs: rapid.SampledFrom([]int{3, 1000}).Draw(t, "most"), bytes: 1 << 30, wait: rapid.SampledFrom([]time.Duration{0, 5 * time.Second}).Draw(t, "wait"),
		timeout: 60 * time.Second, redeliveries: 2,
	})
	m.d.send, m.d.done = m.send, m.done
	for range 3 {
		m.lanes = append(m.lanes, new(lane))
	}
	return m
}

func (m *dispatchModel) send(w *worker, j *job) bool {
	if m.clogged {
		m.clogged = false
		return false
	}
	if m.held[w] >= w.window {
		m.t.Fatalf("job %d goes to a worker with %d of %d", j.id, m.held[w], w.window)
	}
	if j.sent > m.d.limits.redeliveries+1 {
		m.t.Fatalf("job %d is sent %d times", j.id, j.sent)
	}
	if !slices.Contains(m.workers, w) || w.leaving || !w.takes(j) {
		m.t.Fatalf("job %d %s goes to a worker that is gone or does not take it: %+v", j.id, j.event, w)
	}
	if w.turns && !w.turn {
		m.t.Fatalf("job %d goes to a REQ whose turn it is not", j.id)
	}
	for _, o := range m.jobs {
		if o.lane != j.lane || o.over {
			continue
		}
		if o.id < j.id && o.worker != w {
			m.t.Fatalf("job %d overtakes %d of its session", j.id, o.id)
		}
		if o.worker == w && o != j && w.parallel == 1 {
			m.t.Fatalf("job %d while %d is under way, of one session, at a worker that takes one", j.id, o.id)
		}
		if o.worker != nil && o.worker != w {
			m.t.Fatalf("job %d is at another worker than %d", j.id, o.id)
		}
	}
	if j.lane.underWay == 0 && !slices.Contains(j.lane.stuck, w) {
		for _, s := range j.lane.stuck {
			if s.takes(j) && !s.leaving {
				m.t.Fatalf("job %d leaves the worker that its session is stuck to", j.id)
			}
		}
	}
	if len(m.outcome[j]) > 0 {
		m.t.Fatalf("job %d is sent when it is done", j.id)
	}
	m.held[w]++
	return true
}

func (m *dispatchModel) done(j *job, o outcome) { m.outcome[j] = append(m.outcome[j], o) }

func (m *dispatchModel) worker(i int) *worker {
	for len(m.workers) < 2 {
		w := &worker{}
		m.workers = append(m.workers, w)
		m.register(w)
	}
	return m.workers[i%len(m.workers)]
}

func (m *dispatchModel) register(w *worker) {
	events := rapid.SampledFrom([][]string{{"a"}, {"b"}, {"a", "b"}, {"*"}, {"connect", "*"}}).Draw(m.t, "events")
	window, parallel := rapid.SampledFrom([]int{0, 1, 2, 3, 3}).Draw(m.t, "window"), rapid.SampledFrom([]int{1, 1, 3}).Draw(m.t, "parallel")
	sticky, fails := rapid.Bool().Draw(m.t, "sticky"), rapid.Bool().Draw(m.t, "fails")
	m.d.join(w, func() {
		w.namespaces, w.events, w.window, w.parallel, w.sticky, w.fails = []string{"/"}, events, window, parallel, sticky, fails
		if w.turns {
			w.window = 1
		}
	}, m.now)
	m.d.feed(w, m.now)
}

func (m *dispatchModel) actions() map[string]func(*rapid.T) {
	number := func() int { return rapid.IntRange(0, 1000).Draw(m.t, "which") }
	actions := map[string]func(*rapid.T){
		"join": func(*rapid.T) {
			if len(m.workers) == 4 {
				return
			}
			w := &worker{turns: rapid.IntRange(0, 3).Draw(m.t, "kind") == 0}
			m.workers = append(m.workers, w)
			m.register(w)
		},
		"register again": func(*rapid.T) {
			if w := m.worker(number()); !w.leaving {
				m.register(w)
			}
		},
		"submit": func(*rapid.T) { m.submit(m.lanes[number()%len(m.lanes)], modelEvents[number()%len(modelEvents)]) },
		"ack":    func(*rapid.T) { m.ack(m.worker(number()), number()) },
		"turn": func(*rapid.T) {
			if w := m.worker(number()); w.turns {
				m.d.next(w, m.now)
			}
		},
		"credit": func(*rapid.T) {
			if w := m.worker(number()); !w.turns {
				m.d.setWindow(w, rapid.IntRange(0, 4).Draw(m.t, "credit"), m.now)
			}
		},
		"die": func(*rapid.T) { m.die(m.worker(number())) },
		"bye": func(*rapid.T) { m.d.bye(m.worker(number()), m.now) },
		"clog": func(*rapid.T) {
			m.clogged = true
		},
		"unclog": func(*rapid.T) { m.d.unclog(m.worker(number()), m.now) },
		"cancel": func(*rapid.T) {
			if len(m.jobs) > 0 {
				m.d.cancel(m.jobs[number()%len(m.jobs)], m.now)
			}
		},
		"time": func(*rapid.T) {
			m.now = m.now.Add(time.Duration(rapid.IntRange(1, 40).Draw(m.t, "seconds")) * time.Second)
			m.d.tick(m.now)
		},
		"": func(*rapid.T) { m.check() },
	}
	for i := range 4 { // most of the time it is this that happens
		actions[fmt.Sprint("submit", i)] = actions["submit"]
		actions[fmt.Sprint("ack", i)] = actions["ack"]
	}
	return actions
}

func (m *dispatchModel) submit(l *lane, event string) {
	j := &job{lane: l, namespace: "/", event: event}
	m.d.submit(j, m.now)
	if j.id > 0 {
		m.jobs = append(m.jobs, j)
	} else if o := m.outcome[j]; len(o) != 1 || o[0].err != errOverloaded {
		m.t.Fatalf("not taken, and told %v", o)
	}
}

// ack answers a job that a worker has.
func (m *dispatchModel) ack(w *worker, i int) {
	var ids []uint64
	for id := range w.jobs {
		ids = append(ids, id)
	}
	if len(ids) == 0 {
		if m.d.ack(w, 1<<40, outcome{}, m.now) {
			m.t.Fatal("an answer to nothing is taken")
		}
		return
	}
	slices.Sort(ids)
	id := ids[i%len(ids)]
	expired := w.jobs[id].expired
	m.held[w]--
	if m.d.ack(w, id, outcome{args: hub.Payload{JSON: []byte("[]")}}, m.now) == expired {
		m.t.Fatalf("job %d, expired %v, is answered: %v", id, expired, !expired)
	}
	if m.d.ack(w, id, outcome{}, m.now) {
		m.t.Fatalf("job %d is answered twice", id)
	}
	if w.turns {
		m.d.next(w, m.now)
	}
}

func (m *dispatchModel) die(w *worker) {
	m.workers = slices.DeleteFunc(m.workers, func(x *worker) bool { return x == w })
	m.d.leave(w, m.now)
}

// check holds the state against what is always true.
func (m *dispatchModel) check() {
	queued := 0
	for _, j := range m.jobs {
		switch n := len(m.outcome[j]); {
		case n > 1:
			m.t.Fatalf("job %d has %d outcomes", j.id, n)
		case (n == 1) != j.over:
			m.t.Fatalf("job %d is over: %v, with %d outcomes", j.id, j.over, n)
		case j.over:
		case j.worker == nil:
			queued++
		}
		if j.over && m.outcome[j][0].err == errWorkerDied && j.sent == 0 {
			m.t.Fatalf("job %d died with a worker that never had it", j.id)
		}
	}
	if m.d.queued != queued {
		m.t.Fatalf("%d are counted as queued, %d are", m.d.queued, queued)
	}
	if queued == 0 && m.d.bytes != 0 {
		m.t.Fatalf("%d bytes of nothing", m.d.bytes)
	}
	for _, l := range m.lanes {
		underWay := 0
		for _, w := range m.workers {
			for _, j := range w.jobs {
				if j.lane == l && !j.over {
					underWay++
				}
			}
		}
		if underWay != l.underWay {
			m.t.Fatalf("%d are counted as under way, %d are", l.underWay, underWay)
		}
		if len(l.pending) == 0 || l.underWay > 0 {
			continue
		}
		j := l.pending[0]
		if j.heap == nil || (*j.heap)[j.place] != j {
			m.t.Fatalf("job %d waits nowhere", j.id)
		}
		if m.d.limits.wait == 0 && !slices.ContainsFunc(m.workers, func(w *worker) bool { return !w.leaving && w.takes(j) }) {
			m.t.Fatalf("job %d waits for a worker that there is not", j.id)
		}
		if l.owner(j) != nil {
			continue
		}
		for _, w := range m.workers {
			if w.free() && w.takes(j) {
				m.t.Fatalf("job %d waits while a worker is free: %+v", j.id, w)
			}
		}
	}
}

// end lets everything end: nothing may be left.
func (m *dispatchModel) end() {
	m.clogged = false
	all := &worker{}
	m.workers = append(m.workers, all)
	m.d.join(all, func() {
		all.namespaces, all.events, all.window, all.parallel = []string{"/"}, []string{"*", "connect"}, 2, 1
	}, m.now)
	m.d.feed(all, m.now)
	for round := 0; ; round++ {
		m.check()
		open := slices.ContainsFunc(m.jobs, func(j *job) bool { return !j.over })
		if !open {
			break
		}
		if round > 10*len(m.jobs)+100 {
			m.t.Fatal("it does not end")
		}
		for _, w := range slices.Clone(m.workers) {
			if w != all && round > 3 {
				m.die(w)
			} else {
				m.ack(w, round)
			}
		}
	}
	for _, j := range m.jobs {
		o := m.outcome[j][0]
		if o.err != nil && !slices.Contains([]*hub.Error{errNoWorkers, errTimedOut, errWorkerDied, errClosing}, o.err) {
			m.t.Fatalf("job %d: %v", j.id, o.err)
		}
	}
	if m.d.queued != 0 || m.d.age.Len() != 0 {
		m.t.Fatalf("%d queued, %d of any age", m.d.queued, m.d.age.Len())
	}
}

// TestDispatch: whatever workers do, each event has one outcome, sessions keep their order, and nobody gets more than
// it takes.
func TestDispatch(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newDispatchModel(t)
		t.Repeat(m.actions())
		m.end()
	})
}

// TestDispatchLosesNothing: with workers that die without end and events that are sent again, each event is
// answered in the end, by a worker, and sessions keep their order.
func TestDispatchLosesNothing(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newDispatchModel(t)
		m.d.limits = dispatchLimits{jobs: 1000, bytes: 1 << 30, wait: time.Hour, timeout: time.Hour, redeliveries: 1 << 30}
		order := make(map[*lane][]uint64)
		m.d.done = func(j *job, o outcome) {
			m.done(j, o)
			if o.err != nil {
				t.Fatalf("job %d: %v", j.id, o.err)
			}
			order[j.lane] = append(order[j.lane], j.id)
		}
		join := func() {
			w := &worker{}
			m.workers = append(m.workers, w)
			sticky := rapid.Bool().Draw(t, "sticky")
			m.d.join(w, func() {
				w.namespaces, w.events, w.window, w.parallel, w.sticky = []string{"/"}, []string{"*", "connect"}, 2, 1, sticky
			}, m.now)
			m.d.feed(w, m.now)
		}
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			switch i := rapid.IntRange(0, 9).Draw(t, "step"); {
			case i < 2 && len(m.workers) < 4:
				join()
			case i < 4 && len(m.workers) > 0:
				m.die(m.workers[i%len(m.workers)])
			case i < 6 && len(m.workers) > 0:
				m.ack(m.workers[i%len(m.workers)], i)
			default:
				m.submit(m.lanes[i%3], modelEvents[i%3])
			}
			m.check()
		}
		m.end()
		answered := 0
		for _, ids := range order {
			answered += len(ids)
			if !slices.IsSorted(ids) {
				t.Fatalf("a session's events ended in the order %v", ids)
			}
		}
		if answered != len(m.jobs) {
			t.Fatalf("%d of %d were answered", answered, len(m.jobs))
		}
	})
}

// TestDispatchLeastLoaded: of workers with room the one with the largest part of it free gets the next event.
func TestDispatchLeastLoaded(t *testing.T) {
	d := newDispatcher(dispatchLimits{jobs: 100, bytes: 1 << 20, timeout: time.Minute})
	got := make(map[string]int)
	d.send = func(w *worker, _ *job) bool { got[fmt.Sprint(w.window)]++; return true }
	d.done = func(*job, outcome) {}
	for _, window := range []int{2, 4, 10} {
		w := &worker{}
		d.join(w, func() {
			w.namespaces, w.events, w.window, w.parallel = []string{"/"}, []string{"*"}, window, 1
		}, time.Now())
	}
	for range 8 {
		d.submit(&job{lane: new(lane), namespace: "/", event: "e"}, time.Now())
	}
	if fmt.Sprint(got) != "map[10:5 2:1 4:2]" {
		t.Errorf("windows of 2, 4 and 10 got %v of 8", got)
	}
}

// BenchmarkManyRoutes: what a worker with all the names that it may have costs, when it comes and at each look at the clock.
func BenchmarkManyRoutes(b *testing.B) {
	d := newDispatcher(dispatchLimits{jobs: 10, bytes: 1 << 20, wait: time.Second, timeout: time.Minute})
	w := &worker{window: 1, parallel: 1}
	for i := range maxWorkerNames {
		w.namespaces = append(w.namespaces, fmt.Sprint("/", i))
		w.events = append(w.events, fmt.Sprint(i))
	}
	now := time.Unix(1000, 0)
	b.Run("join", func(b *testing.B) {
		for b.Loop() {
			d.join(w, func() {}, now)
		}
	})
	b.Run("tick", func(b *testing.B) {
		for b.Loop() {
			d.tick(now)
		}
	})
}
