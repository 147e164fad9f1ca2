package coop

// A Link is a function to be called once, when something has come to its end: see [Greenlet.Link].
type Link struct {
	do         func(*Greenlet) // nil when it has run or was taken back
	g          *Greenlet       // whose end it waits for, if it does
	when       linkWhen
	cares      bool // it takes care of a failure
	list       *linkList
	prev, next *Link
}

type linkWhen uint8

const (
	always linkWhen = iota
	onSuccess
	onFailure
)

// Link has fn called once when the greenlet is over, with the greenlet. Links run as jobs of the
// loop, in the tick after the end, in the order in which they were added, before those who joined
// go on; never in the stack of whoever caused the end, nor of the caller when the greenlet is over already.
// A link added by a link runs later. fn must not park. A panic in fn goes to
// [LoopOptions].OnPanic and does not stop the other links. A link does not take care of the
// greenlet's failure, which is reported as if it were not there.
//
// To hand the end over to something else, let fn do it: set an event, put the greenlet into a queue.
// Loop only: the greenlet's loop.
func (g *Greenlet) Link(fn func(*Greenlet)) *Link { return g.link(always, fn) }

// LinkSuccess is Link for a greenlet that does not fail; being killed is no failure. Loop only.
func (g *Greenlet) LinkSuccess(fn func(*Greenlet)) *Link { return g.link(onSuccess, fn) }

// LinkFailure is Link for a greenlet that fails; then it also takes care of the failure, which is not
// reported, unless it is a panic. Loop only.
func (g *Greenlet) LinkFailure(fn func(*Greenlet)) *Link {
	k := g.link(onFailure, fn)
	k.cares = true
	return k
}

func (g *Greenlet) link(when linkWhen, fn func(*Greenlet)) *Link {
	k := &Link{do: fn, g: g, when: when}
	if g.ended.Load() {
		k.postEnd()
	} else {
		g.extras().links.add(k)
	}
	return k
}

// Unlink takes the link back. It reports whether it came in time: false when the link has run, or never
// will. Loop only.
func (k *Link) Unlink() bool {
	if k.do == nil {
		return false
	}
	k.do = nil
	if k.list != nil {
		k.list.remove(k)
	}
	return true
}

// postEnd has the link run, if its greenlet's end is of the kind that it is for.
func (k *Link) postEnd() {
	g := k.g
	if k.when == onSuccess && g.failure() != nil || k.when == onFailure && g.failure() == nil {
		k.do = nil
		return
	}
	if k.cares {
		g.joined.Store(true)
	}
	g.loop.PostJob((*linkJob)(k))
}

type linkJob Link

// RunOn calls the function. One job a link, so that a panic costs no other link its turn.
func (k *linkJob) RunOn(*Loop) {
	if do := k.do; do != nil {
		k.do = nil
		do(k.g)
	}
}

// linkList holds links in the order in which they were added.
type linkList struct{ head, tail *Link }

func (ll *linkList) add(k *Link) {
	k.list, k.prev = ll, ll.tail
	if ll.tail != nil {
		ll.tail.next = k
	} else {
		ll.head = k
	}
	ll.tail = k
}

func (ll *linkList) remove(k *Link) {
	if k.prev != nil {
		k.prev.next = k.next
	} else {
		ll.head = k.next
	}
	if k.next != nil {
		k.next.prev = k.prev
	} else {
		ll.tail = k.prev
	}
	k.list, k.prev, k.next = nil, nil, nil
}

// take removes the first link, and returns nil when there is none.
func (ll *linkList) take() *Link {
	k := ll.head
	if k != nil {
		ll.remove(k)
	}
	return k
}

func (ll *linkList) postEnd() {
	for k := ll.take(); k != nil; k = ll.take() {
		k.postEnd()
	}
}
