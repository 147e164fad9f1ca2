package zeromq

import (
	"container/list"
	"strings"
	"sync"
	"time"
)

// demand keeps the upstream subscriptions equal to what somebody here hears: rooms with members, and what subscribers
// of our own XPUB ask for. Who tells it of a change holds the lock of a room, so that it only notes it; one goroutine
// does the rest. A topic that nobody wants any more is cancelled when it has not been wanted for the linger time,
// because browsers reload pages.
type demand struct {
	bridge *Bridge
	format *Format
	up     *upstream
	linger time.Duration
	limit  int
	wake   chan struct{} // of 1: something has changed
	done   chan struct{} // closed when run has ended
	quit   chan struct{}
	cancel []func() // of what tells us
	once   sync.Once

	mu       sync.RWMutex // a leaf
	wants    map[string]*want
	prefixes [maxTopic + 2]int // wants with prefix, by the length of their topic
	longest  int               // of prefixes, an upper bound
	changed  []string          // topics to look at, each once

	// run's own.
	leaving    list.List // of leave, in the order of time
	subscribed int
	waiting    bool // a topic is not subscribed to because of limit
}

// want is one topic in which somebody has, or had, an interest. Guarded by demand.mu, except what is run's.
type want struct {
	rooms  bool // a room with members
	prefix bool // a subscriber here: to all that begins so
	queued bool // in changed

	subscribed bool          // run's
	leaving    *list.Element // run's: its place among those that are not wanted any more
}

func (w *want) wanted() bool { return w.rooms || w.prefix }

// leave is a topic that nobody has wanted since.
type leave struct {
	topic string
	since time.Time
}

func newDemand(b *Bridge, u *upstream) *demand {
	return &demand{
		bridge: b, format: &b.opts.SubFormat, up: u, linger: b.opts.Linger, limit: b.opts.MaxTopics,
		wake: make(chan struct{}, 1), done: make(chan struct{}), quit: make(chan struct{}), wants: make(map[string]*want),
	}
}

// watcher is a hub that tells which rooms have members.
type watcher interface {
	WatchRooms(fn func(namespace, room string, live bool)) (cancel func())
}

func (d *demand) start(w watcher) {
	go d.run()
	d.cancel = append(d.cancel, w.WatchRooms(d.room))
}

// close ends run. The subscriptions end with their connections.
func (d *demand) close() {
	d.once.Do(func() {
		for _, cancel := range d.cancel {
			cancel()
		}
		close(d.quit)
		<-d.done
	})
}

// room notes that a room has members, or none any more. The room is locked.
func (d *demand) room(namespace, room string, live bool) {
	var buf [2*maxTopic + 2]byte
	if topic, ok := d.format.topic(buf[:0], namespace, room); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.wantLocked(topic).rooms = live
	}
}

// prefix notes that everything is wanted whose topic here, at our XPUB, begins so, or not any more.
func (d *demand) prefix(topic string, live bool) {
	topic, ok := d.format.upstreamPrefix(topic)
	if !ok {
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.wantLocked([]byte(topic))
	if w.prefix == live {
		return
	}
	w.prefix = live
	if live {
		d.prefixes[len(topic)]++
		d.longest = max(d.longest, len(topic))
	} else {
		d.prefixes[len(topic)]--
	}
}

// wantLocked is the want of a topic, queued for run.
func (d *demand) wantLocked(topic []byte) *want {
	w := d.wants[string(topic)]
	if w == nil {
		w = &want{}
		d.wants[string(topic)] = w
	}
	if !w.queued {
		w.queued = true
		d.changed = append(d.changed, string(topic))
		select {
		case d.wake <- struct{}{}:
		default: // it is told already
		}
	}
	return w
}

// hears reports whether anybody wants a room, or has wanted it a moment ago: subscriptions are prefixes, so that room1
// brings the messages of room10 as well.
func (d *demand) hears(namespace, room string) bool {
	var buf [2*maxTopic + 2]byte
	topic, ok := d.format.topic(buf[:0], namespace, room)
	if !ok {
		return false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	if d.wants[string(topic)] != nil {
		return true
	}
	for n := 0; n <= d.longest && n <= len(topic); n++ {
		if d.prefixes[n] > 0 {
			if w := d.wants[string(topic[:n])]; w != nil && w.prefix {
				return true
			}
		}
	}
	return false
}

func (d *demand) run() {
	defer close(d.done)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case <-d.quit:
			return
		case <-d.wake:
		case <-timer.C:
		}
		add, cancel := d.look(time.Now())
		d.up.change(add, cancel)
		timer.Stop()
		if l, ok := d.next(); ok {
			timer.Reset(max(0, time.Until(l.since.Add(d.linger))))
		}
	}
}

// look decides about what has changed and what is overdue.
func (d *demand) look(now time.Time) (add, cancel []string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, topic := range d.changed {
		w := d.wants[topic]
		w.queued = false
		switch {
		case w.wanted():
			d.stay(w)
			add = d.subscribe(add, topic, w)
		case !w.subscribed:
			delete(d.wants, topic)
		case w.leaving == nil:
			w.leaving = d.leaving.PushBack(leave{topic, now})
		}
	}
	d.changed = d.changed[:0]
	for l, ok := d.next(); ok && now.Sub(l.since) >= d.linger; l, ok = d.next() {
		d.stay(d.wants[l.topic])
		delete(d.wants, l.topic)
		cancel = append(cancel, l.topic)
		d.subscribed--
	}
	if d.waiting && len(cancel) > 0 {
		d.waiting = false
		for topic, w := range d.wants {
			if w.wanted() {
				add = d.subscribe(add, topic, w)
			}
		}
	}
	return add, cancel
}

// next is the topic that leaves next.
func (d *demand) next() (l leave, ok bool) {
	if first := d.leaving.Front(); first != nil {
		return first.Value.(leave), true
	}
	return l, false
}

// stay takes a want out of those that leave.
func (d *demand) stay(w *want) {
	if w.leaving != nil {
		d.leaving.Remove(w.leaving)
		w.leaving = nil
	}
}

func (d *demand) subscribe(add []string, topic string, w *want) []string {
	switch {
	case w.subscribed:
		return add
	case d.subscribed >= d.limit:
		if !d.waiting {
			d.bridge.refused(reasonDemandFull, "a room is not subscribed to at publishers, there are too many", "limit", d.limit)
		}
		d.waiting = true
		return add
	}
	d.subscribed++
	w.subscribed = true
	return append(add, topic)
}

// topic appends what a publisher's message for a room begins with; ok is false when it cannot name the room.
func (f *Format) topic(dst []byte, namespace, room string) (topic []byte, ok bool) {
	if namespace == "" {
		namespace = "/"
	}
	bare := namespace == f.Namespace
	if f.NamespaceInTopic && (!bare || strings.HasPrefix(room, "/") && strings.Contains(room, topicSeparator)) {
		dst = append(append(dst, namespace...), topicSeparator...)
	} else if !bare {
		return dst, false
	}
	dst = append(dst, room...)
	if l, ok := f.Layout.(separated); ok {
		dst = append(dst, l.by) // so that the subscription is to this room and no other
	}
	return dst, true
}

// upstreamPrefix is what a subscription at our XPUB means at a publisher.
func (f *Format) upstreamPrefix(topic string) (string, bool) {
	if f.NamespaceInTopic && f.Namespace == "/" {
		return topic, true
	}
	namespace, room := splitTopic(topic, "/")
	if namespace == f.Namespace {
		return room, true
	}
	if f.NamespaceInTopic {
		return topic, namespace != "/"
	}
	return "", false
}

// names a room at the beginning of each message: what demand needs.
func (f *Format) namesRooms() bool {
	return f.Layout != Raw && f.Layout != JSONType && (f.Layout != Bitcoin || f.Room == "")
}
