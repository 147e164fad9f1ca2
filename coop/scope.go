package coop

// A Scope holds greenlets that do not outlive it; see [Greenlet.Scope]. Loop only.
type Scope struct {
	g        *Greenlet // whose scope it is
	limit    Timeout   // "expires" when a child fails, with that failure
	children []*Greenlet
	alive    int
	over     Event // nobody is alive
	failure  error // the first
	closed   bool  // everyone is to end
	onEnd    func(*Greenlet)
}

// Scope runs fn in g, the running greenlet, and returns when fn has returned and every greenlet that was
// spawned in the scope has ended. The first of them to fail ends the others: they are killed, and if fn
// is parked, or parks later, its park returns that failure, once. If fn fails, or g is killed or times out
// meanwhile, those in the scope are killed. The error is the first failure in order of time.
//
// So that nothing outlives the scope, a g that is killed waits for greenlets that take long to clean up.
// The failures are not reported otherwise, except for panics.
func (g *Greenlet) Scope(fn func(s *Scope) error) error {
	s := &Scope{g: g}
	s.onEnd = s.ended
	s.limit.g = g
	if !s.limit.open(Forever) {
		return ErrNotRunning
	}
	defer s.leave() // also when fn panics, or the loop ends g by force
	err := fn(s)
	if err != nil {
		s.fail(err)
	} else if s.alive > 0 {
		s.over.Clear()
		if err := s.over.wait(g, ParkedJoin); err != nil {
			s.fail(err)
		}
	}
	s.leave()
	return s.failure
}

// Spawn starts a greenlet in the scope, as [Greenlet.Spawn] does; in a scope that is ending it is born killed.
func (s *Scope) Spawn(fn func(*Greenlet) error) *Greenlet {
	l := s.g.loop
	c := l.newGreenlet(l.current, fn, callerAbove(1))
	l.ready.push(c)
	c.joined.Store(true)
	s.alive++
	s.children = append(s.children, c)
	c.Link(s.onEnd)
	if s.closed {
		c.Kill()
	}
	return c
}

// Kill ends the greenlets of the scope; that is no failure. More can be spawned after it. fn goes on.
func (s *Scope) Kill() { Kill(s.children...) }

func (s *Scope) ended(c *Greenlet) {
	s.alive--
	if f := c.failure(); f != nil && !s.closed {
		s.fail(f.error)
		s.limit.custom = f.error
		if s.limit.Pending() {
			s.limit.expire()
		}
	}
	if s.alive == 0 {
		s.children = nil
		s.over.Set()
	} else if len(s.children) > 2*s.alive+16 {
		s.forget()
	}
}

// forget drops the children that are over.
func (s *Scope) forget() {
	kept := make([]*Greenlet, 0, s.alive)
	for _, c := range s.children {
		if !c.ended.Load() {
			kept = append(kept, c)
		}
	}
	s.children = kept
}

// fail keeps the first failure, and ends everyone.
func (s *Scope) fail(err error) {
	if s.closed {
		return
	}
	s.closed, s.failure = true, err
	s.Kill()
}

// leave waits for the children, whatever happens to g, and closes the scope.
func (s *Scope) leave() {
	if s.alive > 0 {
		if !s.closed {
			s.closed = true
			s.Kill()
		}
		s.over.Clear()
		s.g.waitDeaf(&s.over)
	}
	s.closed = true
	s.limit.Close()
}
