package coop

import (
	"sync"
	"sync/atomic"

	"greenroom/coop/internal/poll"
)

// A Job is work for a loop that needs no closure: a pointer that knows what to do. Posting one
// allocates nothing.
type Job interface {
	RunOn(l *Loop) // on the loop's goroutine; must not block
}

type jobFunc func()

func (f jobFunc) RunOn(*Loop) { f() }

// inbox is where other goroutines leave jobs for a loop. Any goroutine may put, only the loop takes.
type inbox struct {
	filled atomic.Bool // there are jobs; lets the loop look without the lock
	asleep atomic.Bool // the loop blocks, or is about to: whoever clears this must wake it

	mu     sync.Mutex
	jobs   []Job
	posts  uint64
	closed bool
}

// put appends a job and wakes the loop if it sleeps. It reports false once the inbox is closed. The
// wake-up is under the lock, so that none can come after the close, when the poller's descriptor
// may already be somebody else's.
func (in *inbox) put(j Job, p *poll.Poller) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return false
	}
	in.jobs = append(in.jobs, j)
	in.posts++
	if len(in.jobs) == 1 {
		in.filled.Store(true)
	}
	if in.asleep.Load() && in.asleep.CompareAndSwap(true, false) {
		p.Wake()
	}
	return true
}

// take returns all jobs in the order in which they were put, and leaves spare for the next ones.
func (in *inbox) take(spare []Job) []Job {
	in.mu.Lock()
	jobs := in.jobs
	in.jobs = spare
	in.filled.Store(false)
	in.mu.Unlock()
	return jobs
}

// close closes the inbox if it is empty, so that a job that was accepted is always run, or in any case
// if forced. It reports whether it is closed.
func (in *inbox) close(force bool) bool {
	in.mu.Lock()
	defer in.mu.Unlock()
	in.closed = in.closed || force || len(in.jobs) == 0
	return in.closed
}

// posted counts the jobs ever put.
func (in *inbox) posted() uint64 {
	in.mu.Lock()
	defer in.mu.Unlock()
	return in.posts
}

const (
	// keptJobs is the capacity up to which a batch's memory is kept for the next batch in any case.
	keptJobs = 4096
	// keptFor is how many small batches in a row a large one's memory is kept for: some seconds of heartbeats.
	keptFor = 4096
)

// A thrift counts the small batches since a large one, of one kind.
type thrift uint16

// spare empties a batch, to be filled again. The memory of a large one is kept while large ones keep coming: a message to ten
// thousand would otherwise begin with growing the list of those who have something to write. Between two such messages
// there are many batches of a heartbeat or two.
func spare[T any](batch []T, small *thrift) []T {
	switch {
	case cap(batch) <= keptJobs:
		return batch[:0] // and no word about the large ones, which take turns with it
	case len(batch) >= cap(batch)/4:
		*small = 0
	default:
		if *small++; *small >= keptFor {
			*small = 0
			return nil
		}
	}
	return batch[:0]
}

// Post has fn run on the loop, after everything posted before it. True is a promise, also while the loop
// closes, even by force: fn will have run when Close returns. It reports false, and fn will never run,
// when the loop has been closed. Whoever waits for fn may therefore do so whenever Post says true. Any
// goroutine.
func (l *Loop) Post(fn func()) bool { return l.PostJob(jobFunc(fn)) }

// PostJob is [Loop.Post] without the closure. Any goroutine.
func (l *Loop) PostJob(j Job) bool { return l.inbox.put(j, l.poller) }

// runJobs runs what had been posted when the tick began. A job that panics is skipped: the batch
// and its cursor live in the loop, so that the next tick goes on behind it.
func (l *Loop) runJobs() {
	if l.jobAt == len(l.jobs) {
		if !l.inbox.filled.Load() {
			return
		}
		l.jobs, l.jobAt = l.inbox.take(l.jobs[:0]), 0
	}
	for l.jobAt < len(l.jobs) {
		j := l.jobs[l.jobAt]
		l.jobs[l.jobAt] = nil
		l.jobAt++
		if l.observer != nil {
			l.observer.job = j
		}
		j.RunOn(l)
	}
	l.jobs, l.jobAt = spare(l.jobs, &l.fewJobs), 0
}
