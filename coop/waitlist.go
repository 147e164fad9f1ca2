package coop

// waitList is a FIFO of greenlets, linked through the greenlets themselves. A greenlet waits for one
// thing at a time, so one pair of links is enough: parking, waking and giving up allocate nothing
// and take constant time.
type waitList struct {
	head, tail *Greenlet
	n          int
}

func (w *waitList) push(g *Greenlet) {
	g.on, g.prev, g.next = w, w.tail, nil
	if w.tail != nil {
		if w.tail.loop != g.loop {
			g.on, g.prev = nil, nil
			panic("coop: greenlets of two loops wait for the same thing")
		}
		w.tail.next = g
	} else {
		w.head = g
	}
	w.tail = g
	w.n++
}

func (w *waitList) remove(g *Greenlet) {
	if g.prev != nil {
		g.prev.next = g.next
	} else {
		w.head = g.next
	}
	if g.next != nil {
		g.next.prev = g.prev
	} else {
		w.tail = g.prev
	}
	w.n--
	g.on, g.prev, g.next = nil, nil, nil
}

// index is the place of g in the list.
func (w *waitList) index(g *Greenlet) int {
	i := 0
	for h := w.head; h != g; h = h.next {
		i++
	}
	return i
}

// first returns the greenlet whose turn it is, and nil if nobody waits. The caller must wake it with what
// it waits for: if it stands for somebody off the loop, that one cannot give up any more from here on.
func (w *waitList) first() *Greenlet {
	for {
		g := w.head
		if g == nil || g.state != standing {
			return g
		}
		c, remote := g.giveUp.(remote)
		if !remote || c.claim() {
			return g
		}
		c.withdraw()
	}
}

// waiting reports whether anybody waits, leaving out those at the head who are off the loop and have given
// up, but whose word of it is still on the way.
func (w *waitList) waiting() bool {
	for w.head != nil && w.head.state == standing {
		c, remote := w.head.giveUp.(remote)
		if !remote || !c.abandoned() {
			break
		}
		c.withdraw()
	}
	return w.head != nil
}

// wakeAll wakes every greenlet in the list, in order, with err as the result of its park.
func (w *waitList) wakeAll(err error) {
	for w.head != nil {
		w.head.wake(err)
	}
}
