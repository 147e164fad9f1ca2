package zeromq

import (
	"encoding/json"

	"greenroom/coop"
	"greenroom/hub"
)

// The names of what is not a client's event.
const (
	eventConnect    = "connect"
	eventDisconnect = "disconnect"
)

// Serve is a handler for [hub.Hub.Handle]: each event of the session goes to a worker, whose answer is the client's
// ack; the session's end is told as "disconnect" to workers that have registered for that. One event of a session is
// under way at a time, unless its workers take more: meanwhile the session's greenlet is parked, and a client that
// sends more than the session's inbox holds is not read from.
func (w *Workers) Serve(s *hub.Session) error {
	c := w.client(s)
	// What needs a deep stack runs on the loop's: a session waits most of the time, and its stack is most of what it
	// costs then.
	submit := c.submit
	for ev := range s.Events() {
		c.ev = ev
		s.Greenlet().OnLoop(submit)
		if err := c.turn(); err != nil {
			break
		}
	}
	s.Greenlet().OnLoop(c.left)
	return nil
}

// Admit is a middleware for [hub.Namespace.Use]: a worker that has registered for "connect" lets the client in, and may
// say whose session it is, which rooms it begins in and what data goes with its events, or refuses it. See
// WorkOptions.Auth for what becomes of clients when no worker has.
func (w *Workers) Admit(s *hub.Session) error {
	if !w.asksAt(s.Namespace()) {
		return nil
	}
	c := w.client(s)
	o := c.ask()
	switch {
	case o.refused:
		e := &hub.ConnectError{Message: o.err.Message}
		if e.Data = o.data; len(o.data) == 0 {
			e.Data = o.err
		}
		return e
	case o.err != nil:
		return &hub.ConnectError{Message: o.err.Message, Data: o.err}
	}
	if err := c.enter(o.args); err != nil {
		_, text, reason := errorCode(err, reasonWorkerMessage)
		w.bridge.refused(reason, "a worker let a client in with what makes no sense", "detail", text, "namespace", s.Namespace())
		return &hub.ConnectError{Message: "internal error", Data: &hub.Error{Code: "internal", Message: "the answer of the worker makes no sense"}}
	}
	return nil
}

// asksAt reports whether clients of a namespace need a worker's word. Where they have needed it once they still do when
// the worker that gave it has gone and others are there: its restart must not let everybody in.
func (w *Workers) asksAt(namespace string) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.opts.Auth || w.asked[namespace] || w.d.taken(namespace, eventConnect) || !w.d.served(namespace)
}

// workClient is a session whose events go to workers. // loop, but for what workers holds
type workClient struct {
	workers *Workers
	s       *hub.Session
	lane    *lane // guarded by Workers.mu
	ev      *hub.Event
	open    int // events under way
	settled coop.Event
}

func (w *Workers) client(s *hub.Session) *workClient {
	return &workClient{workers: w, s: s, lane: new(lane)}
}

// head is the header of an event. What is known of the session may change from one to the next.
func (c *workClient) head(event string, ack bool) []byte {
	data, _ := c.s.Data.(json.RawMessage) // the application's may be something else
	return eventHead{Session: c.s.ID(), Namespace: c.s.Namespace(), Event: event, User: c.s.User(), Data: data, Ack: ack}.encode()
}

// submit hands the client's event to the workers.
func (c *workClient) submit() {
	ev, loop := c.ev, c.s.Greenlet().Loop()
	c.ev = nil
	c.open++
	payload := ev.Payload()
	c.workers.submit(&job{
		lane: c.lane, namespace: c.s.Namespace(), event: ev.Name,
		head: c.head(ev.Name, ev.WantsAck()), args: argsOf(ev.Raw()), payload: hub.Payload{Attachments: payload.Attachments},
		settled: func(o outcome) { // if the loop has ended, so has the session
			loop.Post(func() {
				c.answer(ev, o)
				c.open--
				c.settled.Set()
			})
		},
	})
}

// answer gives the client the outcome.
func (c *workClient) answer(ev *hub.Event, o outcome) {
	if o.err != nil {
		ev.Refuse(o.err)
		return
	}
	if !ev.WantsAck() {
		return
	}
	args, err := values(o.args)
	if err == nil {
		err = ev.Ack(args...)
	}
	if err != nil {
		_, text, reason := errorCode(err, reasonWorkerMessage)
		c.workers.bridge.refused(reason, "a worker's answer cannot be sent", "detail", text)
		ev.Refuse(&hub.Error{Code: "bad_answer", Message: "the answer could not be read"})
	}
}

// turn parks until another event may be submitted.
func (c *workClient) turn() error {
	for c.open >= c.workers.parallel(c.s.Namespace()) {
		c.settled.Clear()
		if err := c.settled.Wait(c.s.Greenlet()); err != nil {
			return err
		}
	}
	return nil
}

// parallel is how many events of a session of a namespace may be under way.
func (w *Workers) parallel(namespace string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.d.parallel(namespace)
}

// ask has the workers say whether the client is let in, and parks until they do. If the client leaves first the
// question is given up.
func (c *workClient) ask() (o outcome) {
	var j *job
	loop, over := c.s.Greenlet().Loop(), false
	finished := func(with outcome) {
		if !over {
			o, over = with, true
			c.settled.Set()
		}
	}
	c.s.OnDisconnecting(func(string) { finished(outcome{err: errClosing}) })
	c.s.Greenlet().OnLoop(func() {
		j = c.connect()
		j.settled = func(with outcome) { loop.Post(func() { finished(with) }) }
		c.workers.submit(j)
	})
	if err := c.settled.Wait(c.s.Greenlet()); err != nil || !c.s.Connected() {
		o = outcome{err: errClosing}
	}
	if o.err == errClosing {
		c.workers.cancel(j)
	}
	return o
}

// connect is the event that asks whether the client is let in.
func (c *workClient) connect() *job {
	hs := c.s.Handshake()
	about := struct {
		Auth    json.RawMessage     `json:"auth,omitempty"`
		Address string              `json:"address,omitempty"`
		Secure  bool                `json:"secure"`
		Headers map[string][]string `json:"headers,omitempty"`
		Query   map[string][]string `json:"query,omitempty"`
	}{}
	if hs != nil {
		about.Auth = hs.Auth
		if hs.Request != nil {
			about.Address, about.Secure, about.Headers, about.Query = hs.RemoteAddr, hs.Secure, hs.Header(), hs.Query()
		}
	}
	raw, err := marshal([]any{about})
	if err != nil { // auth is JSON
		raw = []byte("[{}]")
	}
	return &job{
		lane: c.lane, namespace: c.s.Namespace(), event: eventConnect, head: c.head(eventConnect, true), args: raw,
	}
}

// enter makes the session what the worker says.
func (c *workClient) enter(args hub.Payload) error {
	a, err := parseAcceptance(args)
	if err != nil {
		return err
	}
	if a.user != "" {
		if err := c.s.Identify(a.user); err != nil {
			return err
		}
	}
	if len(a.data) > 0 {
		c.s.SetData(a.data)
	}
	for _, room := range a.rooms {
		if err := c.s.Join(room); err != nil {
			return err
		}
	}
	return nil
}

// left tells the workers that want to know it that the session has ended. Nobody waits for their answer.
func (c *workClient) left() {
	w, ns := c.workers, c.s.Namespace()
	w.mu.Lock()
	wanted := w.d.taken(ns, eventDisconnect)
	w.mu.Unlock()
	if !wanted {
		return
	}
	raw, err := marshal([]string{c.s.Reason()})
	if err != nil { // strings always marshal
		raw = []byte("[]")
	}
	w.submit(&job{lane: c.lane, namespace: ns, event: eventDisconnect, head: c.head(eventDisconnect, false), args: raw})
}
