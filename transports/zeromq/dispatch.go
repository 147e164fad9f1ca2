package zeromq

import (
	"cmp"
	"container/heap"
	"container/list"
	"encoding/json"
	"slices"
	"time"

	"greenroom/hub"
)

// dispatcher is the state machine between sessions and workers. It does no I/O, starts nothing and reads no clock:
// [Workers] calls it, one call at a time.
//
// A job goes through these states:
//
//	pending   behind others of its session
//	waiting   the first of its session, in the heap of a route, or of the worker that its session is bound to
//	under way sent to a worker that has not answered
//	expired   the same, and the session does not wait for it any more
//	done      its outcome was told, once
//
// A worker that leaves makes its jobs pending again, in front of what their sessions have sent since.
type dispatcher struct {
	limits dispatchLimits
	send   func(w *worker, j *job) bool // false: the worker cannot take it now
	done   func(j *job, o outcome)

	routes  map[routeKey]*route
	names   map[routeKey]int // how many workers name an event
	workers []*worker
	age     *list.List // of *job that are not done, oldest first
	last    uint64     // job's id
	used    uint64     // counts dispatches
	queued  int        // jobs that are pending or waiting
	bytes   int        // of those
}

// dispatchLimits are those of [WorkOptions].
type dispatchLimits struct {
	jobs, bytes  int
	wait         time.Duration // for a worker when there is none
	timeout      time.Duration // for an answer
	redeliveries int
}

// routeKey is who may take a job: the workers that name the event, or, with "*", those that take any.
type routeKey struct{ namespace, event string }

// route is a queue of jobs for any of some workers.
type route struct {
	waiting jobHeap
	workers []*worker
}

// worker is a registration, as the dispatcher sees it.
type worker struct {
	link *workerLink // the connection; nil in tests

	namespaces []string
	events     []string // "*" is any
	window     int      // jobs that it takes at once
	parallel   int      // of one session
	sticky     bool
	fails      bool // its jobs fail when it dies

	inSpaces, named map[string]bool // namespaces and events, made by join

	jobs    map[uint64]*job // under way and expired
	own     jobHeap         // of sessions that are bound to it
	routes  []*route
	turns   bool // a REQ socket: it takes one message when it has sent one
	turn    bool // and may have one now
	clogged bool // could not take what was sent to it
	leaving bool // takes nothing more
	used    uint64
}

// lane is what one session has to do, in order.
type lane struct {
	pending  []*job // the first may be in a heap
	underWay int
	bound    *worker   // who has what is under way
	stuck    []*worker // sticky workers that had some
}

// owner is the worker that a job has to go to, because it has others of the session under way, or is sticky and had
// some before; nil when any will do.
func (l *lane) owner(j *job) *worker {
	if l.underWay > 0 {
		return l.bound
	}
	l.stuck = slices.DeleteFunc(l.stuck, func(w *worker) bool { return w.leaving })
	for _, w := range l.stuck {
		if w.takes(j) {
			return w
		}
	}
	return nil
}

// job is one event for a worker.
type job struct {
	id        uint64
	lane      *lane
	namespace string
	event     string
	head      []byte // the header's JSON without its last brace
	payload   hub.Payload
	args      []byte // the arguments, a JSON array
	settled   func(outcome)

	heap     *jobHeap // nil unless it waits
	place    int      // there
	worker   *worker  // who has it
	sent     int      // how often
	expired  bool
	over     bool
	deadline time.Time
	lonely   time.Time     // since when there is no worker for it
	element  *list.Element // in age
}

// cost is what a job holds on to, roughly.
func (j *job) cost() int {
	n := len(j.head) + len(j.args) + len(j.payload.JSON) + 256
	for _, b := range j.payload.Attachments {
		n += len(b)
	}
	return n
}

// outcome is how a job has ended: err says why nobody has done it.
type outcome struct {
	err     *hub.Error
	refused bool            // a worker has said err
	data    json.RawMessage // of a refused connect
	args    hub.Payload     // the answer, an array, with binary values beside it
}

// What becomes of jobs that nobody does.
var (
	errNoWorkers  = &hub.Error{Code: "no_workers", Message: "nobody is there to handle this; try again later"}
	errOverloaded = &hub.Error{Code: "overloaded", Message: "too much is waiting to be handled; try again later"}
	errTimedOut   = &hub.Error{Code: "timeout", Message: "this was not handled in time"}
	errWorkerDied = &hub.Error{Code: "worker_died", Message: "who was to handle this has gone; it may have been done or not"}
	errClosing    = &hub.Error{Code: "closing", Message: "the server is stopping"}
)

func newDispatcher(l dispatchLimits) *dispatcher {
	return &dispatcher{
		limits: l, routes: make(map[routeKey]*route), names: make(map[routeKey]int),
		age: list.New(),
	}
}

// submit takes a job of a session's.
func (d *dispatcher) submit(j *job, now time.Time) {
	if d.queued >= d.limits.jobs || d.queued > 0 && d.bytes+j.cost() > d.limits.bytes {
		j.over = true
		d.done(j, outcome{err: errOverloaded})
		return
	}
	d.last++
	j.id, j.deadline = d.last, now.Add(d.limits.timeout)
	j.element = d.age.PushBack(j)
	j.lane.pending = append(j.lane.pending, j)
	d.count(j, 1)
	d.advance(j.lane, now)
}

func (d *dispatcher) count(j *job, n int) {
	d.queued += n
	d.bytes += n * j.cost()
}

// advance does what can be done for a session: as many of its jobs as may be go to workers.
func (d *dispatcher) advance(l *lane, now time.Time) {
	for len(l.pending) > 0 && l.pending[0].heap == nil {
		j := l.pending[0]
		w := l.owner(j)
		if w != nil && w.takes(j) && !w.leaving {
			if l.underWay > 0 && l.underWay >= w.parallel {
				return
			}
			if !d.dispatch(w, j) {
				w.own.add(j)
				return
			}
			continue
		}
		if l.underWay > 0 {
			return // to keep the order: another worker would overtake
		}
		r := d.route(j)
		if d.dispatchAny(r, j) {
			continue
		}
		r.waiting.add(j)
		d.forsake(r, now)
		return
	}
}

// route is where a job waits for any worker that takes it.
func (d *dispatcher) route(j *job) *route {
	key := routeKey{j.namespace, j.event}
	if d.names[key] == 0 && !special(j.event) {
		key.event = "*"
	}
	r := d.routes[key]
	if r == nil {
		r = &route{}
		d.routes[key] = r
	}
	return r
}

// forsake notes since when the jobs of a route have no worker, and gives those up that have waited long enough.
func (d *dispatcher) forsake(r *route, now time.Time) {
	if len(r.workers) > 0 {
		return
	}
	var over []*job
	for _, j := range r.waiting {
		if j.lonely.IsZero() {
			j.lonely = now
		}
		if now.Sub(j.lonely) >= d.limits.wait {
			over = append(over, j)
		}
	}
	slices.SortFunc(over, byID)
	for _, j := range over {
		d.finish(j, outcome{err: errNoWorkers}, now)
	}
}

// dispatchAny sends a job to the least loaded worker of a route that takes it.
func (d *dispatcher) dispatchAny(r *route, j *job) bool {
	for {
		var best *worker
		for _, w := range r.workers {
			if w.free() && (best == nil || lighter(w, best)) {
				best = w
			}
		}
		if best == nil {
			return false
		}
		if d.dispatch(best, j) {
			return true
		} // else it is clogged now, and not free
	}
}

// lighter compares loads, by the part of the window that is used; of equals, the one that has waited longer.
func lighter(a, b *worker) bool {
	if x, y := len(a.jobs)*b.window, len(b.jobs)*a.window; x != y {
		return x < y
	}
	return a.used < b.used
}

// free reports whether a worker takes another job.
func (w *worker) free() bool {
	return !w.leaving && !w.clogged && len(w.jobs) < w.window && (w.turn || !w.turns)
}

// takes reports whether a worker has registered for a job.
func (w *worker) takes(j *job) bool { return w.covers(routeKey{j.namespace, j.event}) }

func (w *worker) covers(key routeKey) bool {
	return w.inSpaces[key.namespace] && (w.named[key.event] || w.named["*"] && !special(key.event))
}

// special reports whether an event is none of a client's: "*" does not mean it.
func special(event string) bool { return event == eventConnect || event == eventDisconnect }

// dispatch sends the first job of a session to a worker. false: it cannot take it.
func (d *dispatcher) dispatch(w *worker, j *job) bool {
	if !w.free() {
		return false
	}
	j.sent++
	if !d.send(w, j) {
		j.sent--
		w.clogged = true
		return false
	}
	if j.heap != nil {
		j.heap.remove(j)
	}
	l := j.lane
	l.pending = l.pending[1:]
	if len(l.pending) == 0 {
		l.pending = nil
	}
	l.underWay++
	l.bound = w
	if w.sticky && !slices.Contains(l.stuck, w) {
		l.stuck = append(l.stuck, w)
	}
	w.turn = false
	d.count(j, -1)
	d.used++
	w.used = d.used
	w.jobs[j.id] = j
	j.worker = w
	j.lonely = time.Time{}
	return true
}

// feed gives a worker what waits for it, oldest first.
func (d *dispatcher) feed(w *worker, now time.Time) {
	for d.queued > 0 && w.free() { // a worker may have some ten thousand routes
		var next *job
		if len(w.own) > 0 {
			next = w.own[0]
		}
		for _, r := range w.routes {
			if len(r.waiting) > 0 && (next == nil || r.waiting[0].id < next.id) {
				next = r.waiting[0]
			}
		}
		if next == nil || !d.dispatch(w, next) {
			return
		}
		d.advance(next.lane, now)
	}
}

// finish tells a job's outcome, once, whatever its state.
func (d *dispatcher) finish(j *job, o outcome, now time.Time) {
	if j.over {
		return
	}
	j.over = true
	d.age.Remove(j.element)
	l, w := j.lane, j.worker
	switch {
	case w != nil:
		l.underWay--
		if !j.expired {
			delete(w.jobs, j.id)
		}
	default:
		if j.heap != nil {
			j.heap.remove(j)
		}
		i := slices.Index(l.pending, j)
		l.pending = slices.Delete(l.pending, i, i+1)
		d.count(j, -1)
	}
	d.done(j, o)
	if w != nil && len(l.pending) > 0 {
		if head := l.pending[0]; head.heap == &w.own && l.owner(head) != w {
			head.heap.remove(head) // it waited for that worker because of what has just ended
		}
	}
	d.advance(l, now)
	if w != nil {
		d.feed(w, now)
	}
}

// ack takes a worker's answer. false: it has no such job, or its session has given up on it.
func (d *dispatcher) ack(w *worker, id uint64, o outcome, now time.Time) bool {
	j := w.jobs[id]
	if j == nil {
		return false
	}
	if j.expired {
		delete(w.jobs, id)
		d.feed(w, now)
		return false
	}
	d.finish(j, o, now)
	return true
}

// unclog lets a worker be sent to again.
func (d *dispatcher) unclog(w *worker, now time.Time) {
	if w.clogged {
		w.clogged = false
		d.feed(w, now)
	}
}

// next lets a REQ worker have a message.
func (d *dispatcher) next(w *worker, now time.Time) {
	w.turn = true
	d.feed(w, now)
}

// setWindow changes how many jobs a worker takes at once.
func (d *dispatcher) setWindow(w *worker, n int, now time.Time) {
	w.window = max(0, n)
	d.feed(w, now)
}

// join takes a worker in, or changes what it takes.
func (d *dispatcher) join(w *worker, change func(), now time.Time) {
	d.unname(w)
	change()
	w.inSpaces, w.named = setOf(w.namespaces), setOf(w.events)
	if w.jobs == nil {
		w.jobs = make(map[uint64]*job)
	}
	d.workers = append(d.workers, w)
	for _, ns := range w.namespaces {
		for _, e := range w.events {
			d.names[routeKey{ns, e}]++
		}
	}
	d.reroute(now)
}

func setOf(names []string) map[string]bool {
	set := make(map[string]bool, len(names))
	for _, n := range names {
		set[n] = true
	}
	return set
}

// unname takes back what a worker has registered for.
func (d *dispatcher) unname(w *worker) {
	i := slices.Index(d.workers, w)
	if i < 0 {
		return
	}
	d.workers = slices.Delete(d.workers, i, i+1)
	for _, ns := range w.namespaces {
		for _, e := range w.events {
			key := routeKey{ns, e}
			if d.names[key]--; d.names[key] == 0 {
				delete(d.names, key)
			}
		}
	}
}

// reroute makes the routes anew and puts all that waits where it belongs now.
func (d *dispatcher) reroute(now time.Time) {
	var waiting []*job
	take := func(h *jobHeap) {
		for _, j := range *h {
			j.heap = nil
		}
		waiting = append(waiting, *h...)
		*h = nil
	}
	for _, r := range d.routes {
		take(&r.waiting)
	}
	clear(d.routes)
	for key := range d.names {
		d.routes[key] = &route{}
	}
	for _, w := range d.workers {
		take(&w.own)
		w.routes = nil
	}
	for key, r := range d.routes {
		for _, w := range d.workers {
			if w.covers(key) {
				r.workers = append(r.workers, w)
				w.routes = append(w.routes, r)
			}
		}
	}
	slices.SortFunc(waiting, byID)
	for _, j := range waiting {
		if !j.over && j.heap == nil && j.worker == nil {
			d.advance(j.lane, now)
		}
	}
}

// bye lets a worker finish what it has and gives it nothing more. true: it has nothing.
func (d *dispatcher) bye(w *worker, now time.Time) bool {
	w.leaving = true
	d.unname(w)
	d.releaseOwn(w)
	d.reroute(now)
	return len(w.jobs) == 0
}

// releaseOwn puts what waits for one worker alone where any may take it.
func (d *dispatcher) releaseOwn(w *worker) {
	r := &route{waiting: w.own} // a place for reroute to find them
	for _, j := range r.waiting {
		j.heap = &r.waiting
	}
	w.own, w.routes = nil, nil
	d.routes[routeKey{}] = r
}

// leave takes a worker out that is gone. What it had goes to others, or fails.
func (d *dispatcher) leave(w *worker, now time.Time) (redelivered, failed int) {
	w.leaving = true
	d.unname(w)
	d.releaseOwn(w)
	var jobs []*job
	for _, j := range w.jobs {
		if !j.expired {
			jobs = append(jobs, j)
		}
	}
	w.jobs = nil
	slices.SortFunc(jobs, byID)
	var lanes []*lane
	for _, j := range slices.Backward(jobs) { // so that the oldest comes to be first
		l := j.lane
		j.worker = nil
		l.underWay--
		lanes = append(lanes, l)
		if w.fails || j.sent > d.limits.redeliveries {
			failed++
			continue
		}
		redelivered++
		if len(l.pending) > 0 && l.pending[0].heap != nil {
			l.pending[0].heap.remove(l.pending[0])
		}
		l.pending = slices.Insert(l.pending, 0, j)
		d.count(j, 1)
	}
	for _, j := range jobs {
		if w.fails || j.sent > d.limits.redeliveries {
			j.over = true
			d.age.Remove(j.element)
			d.done(j, outcome{err: errWorkerDied})
		}
	}
	d.reroute(now)
	for _, l := range slices.Backward(lanes) {
		d.advance(l, now)
	}
	return redelivered, failed
}

// tick gives up what has taken too long.
func (d *dispatcher) tick(now time.Time) {
	for e := d.age.Front(); e != nil; e = d.age.Front() {
		j := e.Value.(*job)
		if now.Before(j.deadline) {
			break
		}
		j.expired = j.worker != nil // its worker has it still, and less room for others
		d.finish(j, outcome{err: errTimedOut}, now)
	}
	var lonely []routeKey
	for key, r := range d.routes {
		if len(r.waiting) > 0 && len(r.workers) == 0 {
			lonely = append(lonely, key)
		}
	}
	slices.SortFunc(lonely, compareRoutes)
	for _, key := range lonely {
		if r := d.routes[key]; r != nil {
			d.forsake(r, now)
		}
	}
}

func compareRoutes(a, b routeKey) int {
	return cmp.Or(cmp.Compare(a.namespace, b.namespace), cmp.Compare(a.event, b.event))
}

// cancel ends a job that nobody wants done any more, unless a worker has it.
func (d *dispatcher) cancel(j *job, now time.Time) {
	if j.worker == nil {
		d.finish(j, outcome{err: errClosing}, now)
	}
}

// close ends all jobs.
func (d *dispatcher) close(now time.Time) {
	for _, w := range d.workers {
		w.leaving = true
	}
	for e := d.age.Front(); e != nil; e = d.age.Front() {
		d.finish(e.Value.(*job), outcome{err: errClosing}, now)
	}
}

// taken reports whether a worker of a namespace has registered for an event.
func (d *dispatcher) taken(namespace, event string) bool {
	return d.names[routeKey{namespace, event}] > 0
}

// served reports whether a namespace has workers.
func (d *dispatcher) served(namespace string) bool {
	for _, w := range d.workers {
		if slices.Contains(w.namespaces, namespace) {
			return true
		}
	}
	return false
}

// parallel is how many events of one session the workers of a namespace take at once.
func (d *dispatcher) parallel(namespace string) int {
	n := 1
	for _, w := range d.workers {
		if w.parallel > n && slices.Contains(w.namespaces, namespace) {
			n = w.parallel
		}
	}
	return n
}

func byID(a, b *job) int { return cmp.Compare(a.id, b.id) }

// jobHeap has its oldest job first.
type jobHeap []*job

func (h jobHeap) Len() int           { return len(h) }
func (h jobHeap) Less(i, j int) bool { return h[i].id < h[j].id }
func (h jobHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

// Push implements heap.Interface.
func (h *jobHeap) Push(x any) {
	j := x.(*job)
	j.heap, j.place = h, len(*h)
	*h = append(*h, j)
}

// Pop implements heap.Interface.
func (h *jobHeap) Pop() any {
	last := len(*h) - 1
	j := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	j.heap = nil
	return j
}

func (h *jobHeap) add(j *job)    { heap.Push(h, j) }
func (h *jobHeap) remove(j *job) { heap.Remove(h, j.place) }
