package zeromq

import (
	"container/list"
	"strings"
	"sync"
	"time"
)

// demand keeps the upstream subscriptions equal to what somebody here hears: rooms with members, prefixes that
// sessions have joined, and what subscribers of our own XPUB ask for. Who tells it of a change holds the lock of a room, so that it only notes it; one goroutine
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
	prefixes [maxUpstream + 1]int // wide wants, by the length of their topic
	longest  int                  // of prefixes, an upper bound
	changed  []string             // topics to look at, each once

	// run's own.
	leaving    list.List // of leave, in the order of time
	subscribed int
	waiting    bool // a topic is not subscribed to because of limit
}

// want is one topic in which somebody has, or had, an interest. Guarded by demand.mu, except what is run's.
type want struct {
	from   interest // who wants it
	wide   bool     // all that begins so is wanted, or was until a moment ago: counted in demand.prefixes
	queued bool     // in changed

	subscribed bool          // run's
	leaving    *list.Element // run's: its place among those that are not wanted any more
}

// interest is a set of those who may want a topic. Each tells of itself alone.
type interest uint8

const (
	members     interest = 1 << iota // of the room
	sessions                         // that have joined a prefix
	subscribing                      // peers of our XPUB
)

// prefixed are those who want all that begins with the topic.
const prefixed = sessions | subscribing

func (w *want) wanted() bool { return w.from != 0 }

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

// prefixWatcher is one that tells which prefixes sessions have joined.
type prefixWatcher interface {
	WatchPrefixes(fn func(namespace, prefix string, live bool)) (cancel func())
}

func (d *demand) start(w watcher) {
	go d.run()
	d.cancel = append(d.cancel, w.WatchRooms(d.room))
	if p, ok := w.(prefixWatcher); ok {
		d.cancel = append(d.cancel, p.WatchPrefixes(d.joined))
	}
}

// close ends run, if it was started. The subscriptions end with their connections.
func (d *demand) close() {
	d.once.Do(func() {
		for _, cancel := range d.cancel {
			cancel()
		}
		if len(d.cancel) > 0 { // it has been started
			close(d.quit)
			<-d.done
		}
	})
}

// room notes that a room has members, or none any more. The room is locked.
func (d *demand) room(namespace, room string, live bool) {
	var buf [maxUpstream]byte
	if topic, ok := d.format.topic(buf[:0], namespace, room); ok {
		d.mu.Lock()
		defer d.mu.Unlock()
		d.wantLocked(topic).set(members, live)
	}
}

// joined notes that sessions hear all rooms whose names start with prefix, or not any more. The prefix is locked.
func (d *demand) joined(namespace, prefix string, live bool) {
	for _, topic := range d.format.topicPrefixes(namespace, prefix) {
		if len(topic) <= maxUpstream { // else the namespace is longer than any that publishers may name
			d.wide(topic, sessions, live)
		}
	}
}

// subscribers notes that everything is wanted whose topic here, at our XPUB, begins so, or not any more. The topics of
// the bridge's own are made here, and no publisher is asked for them.
func (d *demand) subscribers(topic string, live bool) {
	if topic, ok := d.format.upstreamPrefix(topic); ok && !ownTopic(topic) {
		d.wide(topic, subscribing, live)
	}
}

// wide notes that all that begins with topic is wanted by one of those who want prefixes, or not any more.
func (d *demand) wide(topic string, who interest, live bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	w := d.wantLocked([]byte(topic))
	w.set(who, live)
	if live {
		d.widen(topic, w, true)
	}
}

func (w *want) set(who interest, live bool) {
	if live {
		w.from |= who
	} else {
		w.from &^= who
	}
}

// widen counts a want among the wide ones, or no longer. One stays wide for as long as it lingers: its publishers send
// on, and what its rooms retain must be the newest when somebody comes back. mu is held.
func (d *demand) widen(topic string, w *want, wide bool) {
	switch {
	case w.wide == wide:
		return
	case wide:
		d.prefixes[len(topic)]++
		d.longest = max(d.longest, len(topic))
	default:
		d.prefixes[len(topic)]--
	}
	w.wide = wide
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
	var buf [maxUpstream]byte
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
			if w := d.wants[string(topic[:n])]; w != nil && w.wide {
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
			d.widen(topic, w, w.from&prefixed != 0)
			add = d.subscribe(add, topic, w)
		case !w.subscribed:
			d.forget(topic, w)
		case w.leaving == nil:
			w.leaving = d.leaving.PushBack(leave{topic, now})
		}
	}
	d.changed = d.changed[:0]
	for l, ok := d.next(); ok && now.Sub(l.since) >= d.linger; l, ok = d.next() {
		d.stay(d.wants[l.topic])
		d.forget(l.topic, d.wants[l.topic])
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

// forget ends what nobody wants. mu is held.
func (d *demand) forget(topic string, w *want) {
	d.widen(topic, w, false)
	delete(d.wants, topic)
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

// maxUpstream is the longest topic that topic and topicPrefixes make.
const maxUpstream = maxNamespace + len(topicSeparator) + maxTopic + 1

// topicPrefixes are what the topics begin with of all rooms whose names start with prefix: none when messages cannot
// name the namespace, two when a room's name may decide about whether its topic has it.
func (f *Format) topicPrefixes(namespace, prefix string) []string {
	named := namespace + topicSeparator + prefix
	switch {
	case !f.NamespaceInTopic && namespace == f.Namespace:
		return []string{prefix}
	case !f.NamespaceInTopic:
		return nil
	case namespace != f.Namespace, strings.HasPrefix(prefix, "/") && strings.Contains(prefix, topicSeparator):
		return []string{named}
	case strings.HasPrefix(prefix, "/"):
		return []string{prefix, named}
	}
	return []string{prefix}
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
