package coop_test

import "greenroom/coop"

func init() {
	waitables["event"] = func(*coop.Greenlet) waitable {
		var e coop.Event
		return waitable{wait: e.Wait, give: e.Set, try: e.IsSet, flag: true}
	}
	getters := map[string]func() *coop.Queue[int]{
		"queue":     func() *coop.Queue[int] { return coop.NewQueue[int](1) },
		"unlimited": func() *coop.Queue[int] { return coop.NewQueue[int](-1) },
		"lifo":      func() *coop.Queue[int] { return coop.NewLIFOQueue[int](9) },
		"priority": func() *coop.Queue[int] {
			return coop.NewPriorityQueue(9, func(a, b int) bool { return a < b })
		},
		"joinable": func() *coop.Queue[int] { return coop.NewJoinableQueue(coop.NewQueue[int](9)).Queue },
	}
	for name, make := range getters {
		waitables[name+" get"] = func(*coop.Greenlet) waitable {
			q := make()
			return waitable{
				wait:  func(g *coop.Greenlet) error { _, err := q.Get(g); return err },
				give:  func() { q.TryPut(1) },
				try:   func() bool { _, ok := q.TryGet(); return ok },
				close: q.Close,
			}
		}
		waitables[name+" peek"] = func(*coop.Greenlet) waitable {
			q := make()
			return waitable{
				wait:  func(g *coop.Greenlet) error { _, err := q.Peek(g); return err },
				give:  func() { q.TryPut(1) },
				try:   func() bool { _, ok := q.TryPeek(); return ok },
				flag:  true,
				close: q.Close,
			}
		}
	}
	for _, name := range []string{"queue", "lifo", "priority", "joinable"} {
		waitables[name+" put"] = func(*coop.Greenlet) waitable {
			q := getters[name]()
			for q.TryPut(1) {
			}
			return waitable{
				wait:  func(g *coop.Greenlet) error { return q.Put(g, 2) },
				give:  func() { q.TryGet() },
				try:   func() bool { return q.TryPut(3) },
				close: q.Close,
			}
		}
	}
	waitables["limit raised"] = func(*coop.Greenlet) waitable {
		q := coop.NewQueue[int](1)
		q.TryPut(1)
		return waitable{
			wait:  func(g *coop.Greenlet) error { return q.Put(g, 2) },
			give:  func() { q.SetMax(q.Max() + 1) },
			try:   func() bool { return q.TryPut(3) },
			close: q.Close,
		}
	}
	waitables["tasks done"] = func(*coop.Greenlet) waitable {
		q := coop.NewJoinableQueue(coop.NewQueue[int](1))
		q.TryPut(1)
		return waitable{
			wait: q.Join,
			give: func() { q.TaskDone() },
			try:  func() bool { return q.Unfinished() == 0 },
			flag: true,
		}
	}
	waitables["semaphore"] = func(*coop.Greenlet) waitable {
		var s coop.Semaphore
		return waitable{wait: s.Acquire, give: s.Release, try: s.TryAcquire}
	}
	waitables["bounded semaphore"] = func(*coop.Greenlet) waitable {
		s := coop.NewBoundedSemaphore(9)
		for s.TryAcquire() {
		}
		return waitable{wait: s.Acquire, give: func() { s.Release() }, try: s.TryAcquire}
	}
	waitables["rlock"] = func(g *coop.Greenlet) waitable {
		var r coop.RLock
		r.TryAcquire(g)
		return waitable{
			wait: r.Acquire,
			give: func() { r.Release(g) },
			try:  func() bool { return r.TryAcquire(g) },
			pass: func(g *coop.Greenlet) { r.Release(g) },
		}
	}
}
