package zeromq

import (
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// WorkOptions configure [Workers]. Zero values mean the defaults given.
type WorkOptions struct {
	// Wait is how long an event, or a client that connects, waits for a worker when there is none for it.
	// Default 1 s; below 0: not at all.
	Wait time.Duration
	// Timeout is how long an event may take, from when its turn has come to the worker's answer. Default 30 s.
	Timeout time.Duration
	// MaxQueue and MaxQueueBytes bound the events that wait for workers. Defaults 10 000, 64 MiB.
	MaxQueue      int
	MaxQueueBytes int
	// MaxRedeliveries is how often an event is sent again because its worker died. Default 3; below 0: never.
	MaxRedeliveries int
	// Auth lets no client in that a worker has not accepted. Default: as long as a namespace has workers and none
	// has ever wanted to hear of "connect", clients are let in without a user.
	Auth bool
	// Namespaces are those that workers serve. A worker that registers for another is told so, and it is logged: it
	// will hear of nobody there. nil: it is not known which they are.
	Namespaces []string
}

func (o WorkOptions) withDefaults() WorkOptions {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.MaxQueue, 10_000)
	def(&o.MaxQueueBytes, 64<<20)
	def(&o.MaxRedeliveries, 3)
	if o.Wait == 0 {
		o.Wait = time.Second
	}
	if o.Timeout == 0 {
		o.Timeout = 30 * time.Second
	}
	return o
}

// tickEvery is how often is looked whether something has taken too long.
const tickEvery = 100 * time.Millisecond

// Workers hands the events of sessions to the processes that have registered for them at Options.Workers, see
// docs/workers.md for what they say. [Workers.Serve] is the handler of a namespace, [Workers.Admit] its middleware:
//
//	h.Handle("/", bridge.Workers().Serve)
//	h.Of("/").Use(bridge.Workers().Admit)
//
// Its other methods may be called from any goroutine.
type Workers struct {
	bridge *Bridge
	hub    *hub.Hub
	opts   WorkOptions
	format Format
	stop   chan struct{} // ends the ticker; nil before start
	ended  sync.WaitGroup

	mu     sync.Mutex // a loop's inbox and sender.mu may be locked inside
	d      *dispatcher
	links  map[*workerLink]struct{} // that have registered
	asked  map[string]bool          // namespaces for whose clients a worker was there to say who is let in
	closed bool
}

// workerLink is the connection of a worker. Guarded by Workers.mu, but for the peer.
type workerLink struct {
	peer      *peer
	w         *worker
	name      string
	envelope  [][]byte // stands in front of what is sent
	heartbeat time.Duration
	heard     time.Time
	said      time.Time
	ready     bool
	bye       bool // wants to go, or is to
}

func newWorkers(b *Bridge, h *hub.Hub) *Workers {
	o := b.opts.Work
	if b.opts.Workers == "" {
		o.Wait = -1 // there will be none
	}
	w := &Workers{bridge: b, hub: h, opts: o, format: Format{}.withDefaults(), links: make(map[*workerLink]struct{}), asked: make(map[string]bool)}
	w.d = newDispatcher(dispatchLimits{
		jobs: o.MaxQueue, bytes: o.MaxQueueBytes, wait: max(0, o.Wait), timeout: o.Timeout, redeliveries: max(0, o.MaxRedeliveries),
	})
	w.d.send, w.d.done = w.send, w.finished
	return w
}

// Workers is what serves namespaces by the processes at Options.Workers; without that endpoint, there are none. It
// needs a [*hub.Hub].
func (b *Bridge) Workers() *Workers { return b.workers }

// start begins to look at the clock.
func (w *Workers) start() {
	w.stop = make(chan struct{})
	w.ended.Go(func() {
		t := time.NewTicker(tickEvery)
		defer t.Stop()
		for {
			select {
			case now := <-t.C:
				w.tick(now)
			case <-w.stop:
				return
			}
		}
	})
}

// close fails what nobody has done.
func (w *Workers) close() {
	w.mu.Lock()
	closed := w.closed
	w.closed = true
	w.d.close(time.Now())
	w.mu.Unlock()
	if !closed && w.stop != nil {
		close(w.stop)
		w.ended.Wait()
	}
}

// WorkStats is what [Workers.Stats] tells.
type WorkStats struct {
	Workers  int `json:"workers"`  // that have registered
	Waiting  int `json:"waiting"`  // events
	UnderWay int `json:"underWay"` // events sent to workers and not answered
}

// Stats counts.
func (w *Workers) Stats() (s WorkStats) {
	w.mu.Lock()
	defer w.mu.Unlock()
	s.Workers, s.Waiting = len(w.links), w.d.queued
	for l := range w.links {
		s.UnderWay += len(l.w.jobs)
	}
	return s
}

// send is the dispatcher's: it queues the event for the worker's connection. mu is held.
func (w *Workers) send(to *worker, j *job) bool {
	if !w.say(to.link, j.frames()...) {
		return false
	}
	if j.sent > 1 {
		w.hub.Count(reasonRedelivered)
	}
	return true
}

// say queues a message for a worker. mu is held.
func (w *Workers) say(l *workerLink, body ...[]byte) bool {
	if !l.peer.send(l.envelope, body) {
		return false
	}
	l.said = time.Now()
	return true
}

// finished is the dispatcher's: it counts what was not done and tells who waits. mu is held.
func (w *Workers) finished(j *job, o outcome) {
	switch o.err {
	case errNoWorkers:
		w.bridge.refused(reasonNoWorkers, "an event has no worker", "namespace", j.namespace, "event", clip(j.event))
	case errOverloaded:
		w.bridge.refused(reasonWorkQueue, "an event was dropped, too many wait for workers", "namespace", j.namespace, "event", clip(j.event))
	case errTimedOut:
		w.bridge.refused(reasonWorkTimeout, "an event was not answered in time", "namespace", j.namespace, "event", clip(j.event))
	case errWorkerDied:
		w.bridge.refused(reasonWorkerDied, "an event's worker has died", "namespace", j.namespace, "event", clip(j.event))
	case errClosing:
		w.hub.Count(reasonWorkClosing)
	}
	if j.settled != nil {
		j.settled(o)
	}
}

// submit hands an event over. Loops call it.
func (w *Workers) submit(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed {
		w.finished(j, outcome{err: errClosing})
		return
	}
	w.d.submit(j, time.Now())
}

// cancel gives up what no worker has got yet.
func (w *Workers) cancel(j *job) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !j.over {
		w.d.cancel(j, time.Now())
	}
}

// tick is called now and then.
func (w *Workers) tick(now time.Time) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.d.tick(now)
	for l := range w.links {
		switch {
		case l.heartbeat == 0:
		case now.Sub(l.heard) > heartbeats*l.heartbeat:
			l.peer.guard.Fail(&guard.Violation{Reason: reasonWorkerSilent, Detail: fmt.Sprintf("no sign of life for %v", heartbeats*l.heartbeat)})
		case now.Sub(l.said) < l.heartbeat:
		case !l.w.turns:
			w.say(l, []byte(wordHeartbeat))
		case l.w.turn:
			l.w.turn = !w.say(l, []byte(wordHeartbeat))
		}
	}
}

// serve is a worker's connection.
func (w *Workers) serve(p *peer) error {
	l := &workerLink{peer: p, w: &worker{turns: p.guard.PeerType() == "REQ"}}
	l.w.link = l
	defer w.gone(l)
	for {
		frames, err := p.receive()
		if err != nil {
			return err
		}
		envelope, body, ok := splitEnvelope(frames, beginsWorker)
		if !ok || len(body) == 0 {
			w.refuse(l, envelope, "", nil, coded("bad_message", "no word that workers say"))
			continue
		}
		w.hear(l, envelope)
		if err := w.take(l, envelope, body); err != nil {
			w.refuse(l, envelope, firstWord(body), nil, err)
		}
	}
}

// hear notes a sign of life.
func (w *Workers) hear(l *workerLink, envelope [][]byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.heard, l.envelope = time.Now(), envelope
	w.d.unclog(l.w, l.heard)
}

// refuse counts what makes no sense, or is not allowed, and tells the worker.
func (w *Workers) refuse(l *workerLink, envelope [][]byte, word string, ref json.RawMessage, err error) {
	code, text, reason := errorCode(err, reasonWorkerMessage)
	w.bridge.refused(reason, "a worker was refused", "word", word, "code", code, "detail", text, "remote", l.peer.remote)
	raw, err := marshal(struct {
		Ref   json.RawMessage `json:"ref,omitempty"`
		Word  string          `json:"word,omitempty"`
		Code  string          `json:"code"`
		Error string          `json:"error"`
	}{ref, word, code, text})
	if err == nil {
		l.peer.answer(envelope, []byte(wordError), raw)
	}
}

// take does what a worker says. One message that makes it panic is refused, and harms nobody else.
func (w *Workers) take(l *workerLink, envelope, body [][]byte) (err error) {
	defer func() {
		if v := recover(); v != nil {
			w.bridge.refused(reasonControlPanic, "a worker made the server panic", "word", firstWord(body), "panic", v, "stack", string(debug.Stack()))
			err = coded("internal", "the server has failed")
		}
	}()
	said := string(body[0])
	if !beginsWorker(body[0]) {
		return coded("bad_message", fmt.Sprintf("%.32q is no word that workers say", said))
	}
	if said == wordReady {
		return w.register(l, body)
	}
	if !l.ready { // its owner's to read: only this goroutine sets it
		return coded("not_ready", "READY comes first")
	}
	switch said {
	case wordAck, wordFail:
		return w.answered(l, body)
	case wordHeartbeat:
		w.turn(l)
		return nil
	case wordCredit:
		return w.credit(l, body)
	case wordBye:
		w.leaving(l)
		return nil
	}
	return w.command(l, envelope, body)
}

// register takes a worker in, or changes what it takes.
func (w *Workers) register(l *workerLink, body [][]byte) error {
	if !l.peer.principal.MayControl() {
		return &Refusal{Reason: reasonForbidden, Detail: l.peer.principal.describe("") + " may not be a worker"}
	}
	r, err := parseReady(body)
	if err != nil {
		return err
	}
	var asks []string // of the hub's namespaces alone, so that what is remembered has a bound
	if slices.Contains(r.events, eventConnect) {
		asks = slices.DeleteFunc(slices.Clone(r.namespaces), func(ns string) bool { return w.hub.Find(ns) == nil })
	}
	unserved := w.unserved(r.namespaces)
	hello, err := marshal(struct {
		Version   int      `json:"version"`
		Node      string   `json:"node"`
		Heartbeat float64  `json:"heartbeat"`
		Unserved  []string `json:"unserved,omitempty"`
	}{workerVersion, w.hub.Options().Node, r.heartbeat.Seconds(), unserved})
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.closed || l.bye {
		return coded("closing", "the server is stopping, or you said BYE")
	}
	if len(unserved) > 0 {
		w.bridge.refused(reasonUnserved, "a worker has registered for a namespace that workers do not serve",
			"namespace", clip(unserved[0]), "namespaces", len(unserved), "worker", r.name, "remote", l.peer.remote)
	}
	if !w.say(l, []byte(wordReady), hello) {
		return coded("overloaded", "too much is waiting for you")
	}
	for _, ns := range asks {
		w.asked[ns] = true
	}
	l.heartbeat, l.name = r.heartbeat, r.name
	w.links[l] = struct{}{}
	l.ready = true
	w.d.join(l.w, func() {
		k := l.w
		k.namespaces, k.events, k.window, k.parallel, k.sticky, k.fails = r.namespaces, r.events, r.credit, r.parallel, r.sticky, r.fails
		if k.turns {
			k.window = 1
		}
	}, l.heard)
	w.d.feed(l.w, l.heard)
	return nil
}

// unserved are those namespaces in which no worker will be asked.
func (w *Workers) unserved(namespaces []string) (list []string) {
	if w.opts.Namespaces == nil {
		return nil
	}
	return slices.DeleteFunc(slices.Clone(namespaces), func(ns string) bool { return slices.Contains(w.opts.Namespaces, ns) })
}

// turn is what a REQ worker says when it has nothing to say.
func (w *Workers) turn(l *workerLink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case !l.w.turns:
	case l.bye && len(l.w.jobs) == 0:
		w.farewell(l)
	default:
		w.d.next(l.w, l.heard)
	}
}

func (w *Workers) credit(l *workerLink, body [][]byte) error {
	n, err := parseCredit(body)
	if err != nil {
		return err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if l.w.turns {
		w.say(l, []byte(wordResult), []byte(`{"ok":true}`)) // a REQ takes one at a time, whatever it says
		return nil
	}
	w.d.setWindow(l.w, n, l.heard)
	return nil
}

// answered takes an ACK or a FAIL.
func (w *Workers) answered(l *workerLink, body [][]byte) error {
	tag, o, err := parseAnswer(body)
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil && tag > 0 { // an answer that cannot be read is one all the same: its event is not sent again
		o = outcome{err: &hub.Error{Code: "bad_answer", Message: "the answer could not be read"}, refused: true}
	}
	if tag > 0 && !w.d.ack(l.w, tag, o, l.heard) {
		w.hub.Count(reasonLateAnswer)
	}
	switch {
	case l.bye && len(l.w.jobs) == 0 && (err == nil || !l.w.turns): // a REQ hears one thing, the refusal
		w.farewell(l)
	case l.w.turns && err == nil:
		w.d.next(l.w, l.heard)
	}
	return err
}

// leaving takes a BYE.
func (w *Workers) leaving(l *workerLink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	l.bye = true
	switch {
	case w.d.bye(l.w, l.heard):
		w.farewell(l)
	case l.w.turns:
		w.say(l, []byte(wordHeartbeat)) // it has to hear something, or could not answer what it has
	}
}

// farewell tells a worker that it has nothing to do any more. mu is held.
func (w *Workers) farewell(l *workerLink) {
	w.say(l, []byte(wordBye))
}

// gone is the end of a worker's connection.
func (w *Workers) gone(l *workerLink) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if !l.ready {
		return
	}
	delete(w.links, l)
	again, failed := w.d.leave(l.w, time.Now())
	if again+failed > 0 {
		w.bridge.log.warn(reasonRedelivered, "zeromq: a worker has gone with events that it has not answered",
			"worker", l.name, "remote", l.peer.remote, "sent_again", again, "failed", failed)
	}
}

// part tells a worker that the server is stopping. One that has something to do gets the endpoint's time for it.
func (w *Workers) part(p *peer) {
	w.mu.Lock()
	var link *workerLink
	for l := range w.links {
		if l.peer == p {
			link = l
		}
	}
	idle := true
	if link != nil {
		link.bye = true
		idle = w.d.bye(link.w, time.Now())
		if !link.w.turns || link.w.turn {
			w.say(link, []byte(wordBye))
		}
	}
	w.mu.Unlock()
	if idle {
		partSubscriber(p)
	}
}

// command does what a worker wants done, in the order in which it says so.
func (w *Workers) command(l *workerLink, envelope, body [][]byte) error {
	head, rest, err := commandHead(body)
	if err != nil {
		return err
	}
	var ref json.RawMessage
	if err := readObject(head, field{"ref", &ref}); err != nil {
		return err
	}
	if err := readRef("ref", ref); err != nil {
		return err
	}
	result, err := w.do(l.peer, string(body[0]), head, rest)
	if err != nil {
		w.refuse(l, envelope, firstWord(body), ref, err)
		return nil
	}
	if len(ref) == 0 && !l.w.turns {
		return nil
	}
	raw, err := marshal(struct {
		Ref json.RawMessage `json:"ref,omitempty"`
		OK  bool            `json:"ok"`
		*published
	}{ref, true, result})
	if err == nil {
		l.peer.answer(envelope, []byte(wordResult), raw)
	}
	return err
}

// do runs a command.
func (w *Workers) do(p *peer, word string, head []byte, rest [][]byte) (*published, error) {
	if word == wordPublish {
		return w.publish(p, head, rest)
	}
	if !p.principal.MayControl() {
		return nil, &Refusal{Reason: reasonForbidden, Detail: p.principal.describe("") + " may not do this"}
	}
	var (
		to                  addressee
		event, room, reason string
		whole               bool
	)
	reason = "kicked"
	err := readObject(head, append(to.fields(), field{"event", &event}, field{"room", &room}, field{"reason", &reason}, field{"close", &whole})...)
	if err != nil {
		return nil, err
	}
	t, err := to.target(w.hub)
	if err != nil {
		return nil, err
	}
	switch word {
	case wordEmit:
		payload, err := parseArgs(rest)
		if err != nil {
			return nil, err
		}
		args, err := values(payload)
		if err != nil {
			return nil, err
		}
		if event == "" || len(event) > maxTopic {
			return nil, coded("bad_message", "EMIT has an event")
		}
		return nil, t.Emit(event, args...)
	case wordJoin, wordLeave:
		if err := hub.CheckRoom(room); err != nil {
			return nil, err
		}
		if word == wordLeave {
			t.Leave(room)
		} else if err := t.Join(room); err != nil {
			return nil, err
		}
		// What the worker publishes next is to find the sessions in the room, or not any more.
		reachOf(w.hub, p, t.Local(), func(hub.Snapshot) bool { return true })
	case wordKick:
		if len(reason) > maxReason {
			return nil, coded("bad_message", fmt.Sprintf("reason is longer than %d bytes", maxReason))
		}
		if whole {
			t.CloseConn(reason)
		} else {
			t.Disconnect(reason)
		}
	}
	return nil, nil
}

// publish publishes the envelope in a header, with the arguments behind it.
func (w *Workers) publish(p *peer, head []byte, rest [][]byte) (*published, error) {
	payload, err := parseArgs(rest)
	if err != nil {
		return nil, err
	}
	args, err := values(payload)
	if err != nil {
		return nil, err
	}
	pubs, err := parseEnvelope(head, w.format)
	if err != nil {
		return nil, err
	}
	args = append(slices.Clip(pubs[0].Args), args...) // the rooms of one envelope share theirs
	for _, pub := range pubs {
		if !p.principal.MayPublish(pub.Namespace, pub.Room) {
			return nil, &Refusal{Reason: reasonForbidden, Detail: p.principal.describe(pub.Room) + " may not publish"}
		}
	}
	if !w.bridge.unsaturated(p) {
		return nil, coded("overloaded", "the server has more messages on their way than it can deliver")
	}
	var first *published
	for _, pub := range pubs {
		pub.Args, pub.Via, pub.From = args, "zeromq", p.from
		id, seq, err := w.hub.PublishSeq(pub)
		if err != nil && !errors.Is(err, hub.ErrDuplicate) {
			return nil, err
		}
		if first == nil {
			first = &published{Room: pub.Room, ID: id, Seq: seq, Duplicate: err != nil}
		}
	}
	return first, nil
}
