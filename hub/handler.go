package hub

import (
	"errors"
	"fmt"
	"reflect"
)

// Events is a table of handlers by event name, for those who prefer it to straight-line code. A
// handler is a function whose parameters are an optional *Session, an optional *Event, then the event's arguments,
// which are decoded into them; its results become the ack, and an error as the last result refuses. One that takes
// the *Event and has no result but an error acks itself. [On] and [Reply] make handlers without reflection, [Once]
// one that handles a session's first event of its name only.
//
//	hub.Events{
//		"join": func(s *hub.Session, room string) string { s.Join(room); return "ok" },
//		"pub":  func(s *hub.Session, room, text string) { s.Hub().To(room).Emit("msg", text) },
//	}
//
// Some names are not those of a client's events:
//
//	"connect"        func(*Session) error: the session begins; an error ends it
//	"disconnecting"  func(*Session, string): it ends, for the reason given, and its rooms are not left yet;
//	                 as with [Session.OnDisconnecting]
//	"disconnect"     func(*Session): it has ended
//	"*"              like the others: what has no handler of its own, which is refused otherwise
//
// A session that is handled by a table has no stack while its client is silent, which makes it less than half as
// large as one whose handler loops over [Session.Events]. The signatures are checked once, by [Hub.Handle] or [Session.Serve].
type Events map[string]any

var (
	sessionType = reflect.TypeFor[*Session]()
	eventType   = reflect.TypeFor[*Event]()
	errorType   = reflect.TypeFor[error]()
)

// handlerFunc turns what Handle takes into what a session's greenlet runs.
func handlerFunc(handler any) (func(*Session) error, error) {
	switch h := handler.(type) {
	case func(*Session) error:
		if h == nil {
			return nil, errors.New("a nil handler")
		}
		return h, nil
	case func(*Session):
		if h == nil {
			return nil, errors.New("a nil handler")
		}
		return func(s *Session) error { h(s); return nil }, nil
	case *RelayHandler:
		if h == nil {
			return nil, errors.New("a nil handler")
		}
		return h.start, nil
	case Events:
		t, err := h.compile()
		if err != nil {
			return nil, err
		}
		return t.start, nil
	}
	return nil, fmt.Errorf("%T: want func(*hub.Session) error, hub.Events or hub.Relay", handler)
}

// table is an [Events] whose signatures were checked.
type table struct {
	events        map[string]*line
	rest          *line // nil: other events are refused
	connect       func(*Session) error
	disconnecting func(*Session, string)
	disconnect    func(*Session)
}

func (e Events) compile() (*table, error) {
	t := &table{events: make(map[string]*line, len(e))}
	for name, fn := range e {
		if err := t.add(name, fn); err != nil {
			return nil, err
		}
	}
	return t, nil
}

// add takes one line of an [Events].
func (t *table) add(name string, fn any) error {
	ok, want := true, ""
	switch name {
	case "connect":
		t.connect, ok = fn.(func(*Session) error)
		want = "func(*hub.Session) error"
	case "disconnecting":
		t.disconnecting, ok = fn.(func(*Session, string))
		want = "func(*hub.Session, string)"
	case "disconnect":
		t.disconnect, ok = fn.(func(*Session))
		want = "func(*hub.Session)"
	default:
		if ReservedEvent(name) {
			return fmt.Errorf("%q: %w", name, ErrReservedEvent)
		}
		ln, err := newLine(fn)
		if err != nil {
			return fmt.Errorf("%q: %w", name, err)
		}
		if name == "*" {
			t.rest = ln
		} else {
			t.events[name] = ln
		}
	}
	if !ok {
		return fmt.Errorf("%q is %T, want %s", name, fn, want)
	}
	return nil
}

// served is a session whose events a table handles.
type served struct {
	t     *table
	s     *Session
	spent map[*line]bool // handlers for once that have had theirs
}

// run handles a session's events until there are no more.
func (t *table) run(s *Session) error {
	r := &served{t: t, s: s}
	defer r.over()
	if err := r.begin(); err != nil {
		return err
	}
	for ev := range s.Events() {
		r.handle(ev)
	}
	return nil
}

// start is the handler of a session that rests between its events.
func (t *table) start(s *Session) error {
	r := &served{t: t, s: s}
	defer func() {
		if !s.rests {
			r.over()
		}
	}()
	if err := r.begin(); err != nil {
		return err
	}
	s.passedOver(r)
	return s.rest(r)
}

func (r *served) begin() error {
	t, s := r.t, r.s
	if t.disconnecting != nil {
		s.OnDisconnecting(func(reason string) { t.disconnecting(s, reason) })
	}
	if t.connect != nil {
		if err := t.connect(s); err != nil {
			s.failed(err)
			s.dismiss("server namespace disconnect", nil, false)
			return err
		}
	}
	return nil
}

func (r *served) handle(ev *Event) {
	ln := r.t.events[ev.Name]
	if ln == nil || r.spent[ln] {
		ln = r.t.rest
	}
	if ln == nil || r.spent[ln] {
		ev.Refuse(refusal("unknown_event", "no such event: %q", clip(ev.Name)))
		return
	}
	if ln.once {
		if r.spent == nil {
			r.spent = make(map[*line]bool)
		}
		r.spent[ln] = true
	}
	ln.run(r.s, ev)
}

func (r *served) over() {
	if r.t.disconnect != nil {
		r.s.dismiss("server namespace disconnect", nil, false) // a handler has panicked
		r.t.disconnect(r.s)
	}
}

// Serve runs a table for the rest of the session, whose functions can share the variables of the handler that calls
// it, and whose stack they leave in place. It returns when the client has left, or "connect" has failed; an error of [Hub.Handle] says what is wrong with
// the table. Node.js: socket.on in a connection handler.
//
//	h.Handle("/", func(s *hub.Session) error {
//		var n int
//		return s.Serve(hub.Events{"count": func() int { n++; return n }})
//	})
func (s *Session) Serve(e Events) error {
	var t *table
	var err error
	s.greenlet.OnLoop(func() { t, err = e.compile() }) // it takes more stack than a session should hold on to
	if err != nil {
		return err
	}
	return t.run(s)
}

// line handles the events of one name.
type line struct {
	once bool
	run  func(*Session, *Event)
}

func newLine(fn any) (*line, error) {
	switch fn := fn.(type) {
	case once:
		ln, err := newLine(fn.fn)
		if err != nil {
			return nil, err
		}
		ln.once = true
		return ln, nil
	case Handler:
		if fn.err == nil && fn.fn == nil {
			fn.err = errNoHandler
		}
		return &line{run: fn.run}, fn.err
	}
	c, err := newCall(fn)
	if err != nil {
		return nil, err
	}
	return &line{run: c.run}, nil
}

// call is a handler of a table, its signature looked at once. Reflection stands here alone: it is
// what lets a table's functions have the parameters they want.
type call struct {
	fn      reflect.Value
	session bool           // the first parameter is the *Session
	event   bool           // the next one is the *Event, which the function may answer itself
	params  []reflect.Type // of the event's arguments
	results int            // without the error
	fails   bool           // the last result is an error
}

func newCall(fn any) (*call, error) {
	v := reflect.ValueOf(fn)
	if !v.IsValid() || v.Kind() != reflect.Func || v.IsNil() {
		return nil, fmt.Errorf("%T is not a function", fn)
	}
	t := v.Type()
	if t.IsVariadic() {
		return nil, errors.New("a variadic handler; take the arguments one by one")
	}
	c := &call{fn: v, results: t.NumOut()}
	for i := range t.NumIn() {
		p := t.In(i)
		if i == 0 && p == sessionType {
			c.session = true
			continue
		}
		if p == eventType && len(c.params) == 0 && !c.event {
			c.event = true
			continue
		}
		if err := decodable(p); err != nil {
			return nil, fmt.Errorf("parameter %d is %s: %w", i+1, p, err)
		}
		c.params = append(c.params, p)
	}
	if c.results > 0 && t.Out(c.results-1) == errorType {
		c.results--
		c.fails = true
	}
	for i := range c.results {
		if err := encodable(t.Out(i)); err != nil {
			return nil, fmt.Errorf("result %d is %s: %w", i+1, t.Out(i), err)
		}
	}
	return c, nil
}

// run handles a client's event: the results are its ack.
func (c *call) run(s *Session, ev *Event) {
	out, err := c.invoke(s, ev)
	if err == nil && ev.WantsAck() && (c.results > 0 || !c.event) {
		err = ev.Ack(c.answer(out)...)
	}
	if err != nil {
		ev.Refuse(err)
	}
}

// answer are the results as arguments of an ack.
func (c *call) answer(out []reflect.Value) []any {
	answer := make([]any, c.results)
	for i := range answer {
		answer[i] = out[i].Interface()
	}
	return answer
}

// invoke calls the function with the event's arguments.
func (c *call) invoke(s *Session, ev *Event) ([]reflect.Value, error) {
	in := make([]reflect.Value, 0, len(c.params)+2)
	if c.session {
		in = append(in, reflect.ValueOf(s))
	}
	if c.event {
		in = append(in, reflect.ValueOf(ev))
	}
	into := make([]any, len(c.params))
	for i, p := range c.params {
		v := reflect.New(p)
		into[i] = v.Interface()
		in = append(in, v.Elem())
	}
	if err := ev.Args(into...); err != nil {
		return nil, err
	}
	out := c.fn.Call(in)
	if c.fails {
		if err, _ := out[c.results].Interface().(error); err != nil {
			return nil, err
		}
	}
	return out, nil
}
