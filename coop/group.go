package coop

import "iter"

// A Group is a set of greenlets of one loop that are waited for or killed together. A greenlet leaves it when
// it ends. Failures of members come out of Join; those that nobody waits for are reported as any other.
// A member costs about 400 bytes more than a greenlet outside of groups. The zero value is an empty
// group. Loop only. gevent: Group.
type Group struct {
	oldest, newest *member // in the order in which they came
	n              int
	loop           *Loop
	joiners        waitList
	killing        int   // calls of KillAll
	failure        error // of the first member that failed, until Join has returned it
}

// member is a greenlet in a group. It stands among the joiners of the greenlet, and so hears of its
// end in the moment in which that comes.
type member struct {
	g     *Greenlet
	group *Group
	prev  *member
	next  *member
	pool  *Pool           // whose slot it holds
	then  func(*Greenlet) // told of the end
	place Greenlet
}

// Spawn starts a greenlet on g's loop, as a member.
func (gr *Group) Spawn(g *Greenlet, fn func(*Greenlet) error) *Greenlet {
	m := g.Spawn(fn)
	gr.add(m)
	return m
}

// Add makes x a member. It does nothing if x is one or has ended. [ErrOtherLoop] if x does not live where
// the other members do.
func (gr *Group) Add(x *Greenlet) error {
	if gr.loop != nil && gr.loop != x.loop {
		return ErrOtherLoop
	}
	if !x.Ended() && !gr.Has(x) {
		gr.add(x)
	}
	return nil
}

func (gr *Group) add(x *Greenlet) *member {
	m := &member{g: x, group: gr, prev: gr.newest}
	m.place.loop, m.place.state, m.place.giveUp = x.loop, standing, m
	gr.loop = x.loop
	gr.n++
	if m.prev != nil {
		m.prev.next = m
	} else {
		gr.oldest = m
	}
	gr.newest = m
	if gr.joiners.n > 0 {
		x.joined.Store(true)
	}
	if gr.killing > 0 {
		x.Kill()
	}
	x.joinList().push(&m.place)
	return m
}

// Discard takes x out of the group. It goes on as it would have without.
func (gr *Group) Discard(x *Greenlet) {
	if m := gr.find(x); m != nil {
		m.place.on.remove(&m.place)
		m.leave()
	}
}

// woken comes at the end of the greenlet.
func (m *member) woken(error) {
	if f := m.g.failure(); f != nil && m.group.failure == nil {
		m.group.failure = f.error
	}
	m.leave()
	if m.then != nil {
		m.then(m.g)
	}
}

func (m *member) giveUp(*Greenlet) {}

func (m *member) leave() {
	gr := m.group
	gr.n--
	if m.prev != nil {
		m.prev.next = m.next
	} else {
		gr.oldest = m.next
	}
	if m.next != nil {
		m.next.prev = m.prev
	} else {
		gr.newest = m.prev
	}
	if m.pool != nil {
		m.pool.release()
	}
	if gr.n == 0 && gr.joiners.n > 0 {
		gr.joiners.wakeAll(gr.takeFailure())
	}
}

func (gr *Group) takeFailure() error {
	err := gr.failure
	gr.failure = nil
	return err
}

// find looks among the joiners of x, which is in few groups and has few joiners when it is new.
func (gr *Group) find(x *Greenlet) *member {
	if x.loop != gr.loop || x.joiners == nil {
		return nil
	}
	for p := x.joiners.head; p != nil; p = p.next {
		if m, ok := p.giveUp.(*member); ok && m.group == gr {
			return m
		}
	}
	return nil
}

// Has reports whether x is a member.
func (gr *Group) Has(x *Greenlet) bool { return gr.find(x) != nil }

// Len is the number of members.
func (gr *Group) Len() int { return gr.n }

// All yields those who are members when the iteration begins, in the order in which they came. The group
// may change meanwhile.
func (gr *Group) All() iter.Seq[*Greenlet] {
	return func(yield func(*Greenlet) bool) {
		snapshot := make([]*Greenlet, 0, gr.n)
		for m := gr.oldest; m != nil; m = m.next {
			snapshot = append(snapshot, m.g)
		}
		for _, x := range snapshot {
			if !yield(x) {
				return
			}
		}
	}
}

// Join parks g until the group is empty; it returns at once if it is. It returns the error of the member
// that failed first since the last Join, where being killed is no failure, or an error of g's own:
// it was killed, timed out, or is a member itself ([ErrSelfJoin]).
func (gr *Group) Join(g *Greenlet) error {
	if gr.Has(g) {
		return ErrSelfJoin
	}
	if gr.n == 0 {
		return gr.takeFailure()
	}
	for m := gr.oldest; m != nil; m = m.next {
		m.g.joined.Store(true)
	}
	return g.waitOn(&gr.joiners, ParkedJoin)
}

// Kill kills all members. It does not wait for their ends.
func (gr *Group) Kill() {
	for x := range gr.All() {
		x.Kill()
	}
}

// KillAll kills all members, those that are added meanwhile too, and parks g until the group is empty.
// The errors are those of Join; if g is a member nobody is killed.
func (gr *Group) KillAll(g *Greenlet) error {
	if gr.Has(g) {
		return ErrSelfJoin
	}
	gr.killing++
	defer func() { gr.killing-- }()
	gr.Kill()
	return gr.Join(g)
}
