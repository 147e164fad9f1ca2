package coop

import "errors"

// A Task is a greenlet whose function returns a value. gevent's Greenlet.get and value.
type Task[T any] struct {
	*Greenlet
	v T // written before the greenlet is over, read after
}

// A Spawner starts greenlets: a [Greenlet], a [Loop], a [Scope].
type Spawner interface {
	Spawn(fn func(*Greenlet) error) *Greenlet
}

// SpawnTask starts a greenlet for fn, whose value can be waited for. It does not switch. Loop only.
func SpawnTask[T any](on Spawner, fn func(*Greenlet) (T, error)) *Task[T] {
	t := new(Task[T])
	t.Greenlet = on.Spawn(func(g *Greenlet) (err error) {
		t.v, err = fn(g)
		return err
	})
	t.place = callerAbove(1)
	return t
}

// Get parks g until the task is over and returns what its function returned: at once if it is over. A
// task that was killed has no value: [ErrNoValue]. Other errors mean that the task failed, or that g was
// killed or timed out, or asked for its own value. The task may live on another loop.
func (t *Task[T]) Get(g *Greenlet) (T, error) {
	if err := t.await(g); err != nil {
		var zero T
		return zero, err
	}
	return t.get()
}

// TryGet is Get that never switches: [ErrNotReady] before the end. Any goroutine.
func (t *Task[T]) TryGet() (T, error) {
	if !t.Ended() {
		var zero T
		return zero, ErrNotReady
	}
	return t.get()
}

func (t *Task[T]) get() (T, error) {
	if err := t.Result(); err != nil && errors.Is(err, ErrKilled) {
		return t.v, ErrNoValue
	}
	return t.v, t.Result()
}

// Into hands the task's outcome over to f when it is over, as a link does. The task's failure is then
// f's affair and is not reported, unless it is a panic. Loop only.
func (t *Task[T]) Into(f *Future[T]) *Link {
	k := t.Link(func(*Greenlet) { f.settle(t.get()) })
	k.cares = true
	return k
}
