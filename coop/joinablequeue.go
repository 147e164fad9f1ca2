package coop

import "errors"

// ErrTooManyDone is returned by [JoinableQueue.TaskDone] when there is no task left to be done.
var ErrTooManyDone = errors.New("more tasks done than were put")

// A JoinableQueue is a queue that knows which of its values have been dealt with. Each value that is put
// is a task; who has taken it says so with TaskDone, and Join waits until there is none left. It must be
// made by [NewJoinableQueue]. Loop only. gevent: JoinableQueue.
type JoinableQueue[T any] struct {
	*Queue[T]
	tasks tasks
}

// tasks counts what is to be done, and knows who waits for the end of it.
type tasks struct {
	n       int
	joiners waitList
}

// NewJoinableQueue makes q, of whatever kind, joinable. Values in it already are tasks. A queue can be made
// joinable only once.
func NewJoinableQueue[T any](q *Queue[T]) *JoinableQueue[T] {
	j := &JoinableQueue[T]{Queue: q}
	j.tasks.n = q.stored()
	q.extra().tasks = &j.tasks
	return j
}

// TaskDone says that a value taken from the queue has been dealt with. If it was the last, those who wait
// in Join are woken. [ErrTooManyDone] if there was none.
func (j *JoinableQueue[T]) TaskDone() error {
	if j.tasks.n == 0 {
		return ErrTooManyDone
	}
	j.tasks.add(-1)
	return nil
}

// Join parks g until all tasks are done; it returns at once if there are none. A value of a putter that
// still waits for room is no task yet. An error means that g was killed or timed out.
func (j *JoinableQueue[T]) Join(g *Greenlet) error {
	if j.tasks.n == 0 {
		return nil
	}
	return g.waitOn(&j.tasks.joiners, ParkedJoin)
}

// Unfinished is the number of tasks not done.
func (j *JoinableQueue[T]) Unfinished() int { return j.tasks.n }

// SetUnfinished sets that number, for tasks that did not come through the queue. Below zero is zero.
func (j *JoinableQueue[T]) SetUnfinished(n int) { j.tasks.add(max(n, 0) - j.tasks.n) }

func (t *tasks) add(n int) {
	t.n = max(t.n+n, 0)
	if t.n == 0 {
		t.joiners.wakeAll(nil)
	}
}
