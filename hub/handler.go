package hub

import (
	"errors"
	"fmt"
	"reflect"
)

// Events is a table of handlers by event name, for those who prefer it to straight-line code. A
// handler is a function whose parameters are an optional *Session, then the event's arguments, which
// are decoded into them; its results become the ack, and an error as the last result refuses. The
// names "connect" and "disconnect", which no client can send, are the session's begin and end:
// func(*Session) error and func(*Session).
//
//	hub.Events{
//		"join": func(s *hub.Session, room string) string { s.Join(room); return "ok" },
//		"pub":  func(s *hub.Session, room, text string) { s.Hub().To(room).Emit("msg", text) },
//	}
//
// The signatures are checked once, by [Hub.Handle].
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
	case Events:
		return h.compile()
	}
	return nil, fmt.Errorf("%T: want func(*hub.Session) error or hub.Events", handler)
}

func (e Events) compile() (func(*Session) error, error) {
	table := make(map[string]*call, len(e))
	var connect func(*Session) error
	var disconnect func(*Session)
	for name, fn := range e {
		var ok bool
		switch {
		case name == "connect":
			if connect, ok = fn.(func(*Session) error); !ok {
				return nil, fmt.Errorf(`"connect" is %T, want func(*hub.Session) error`, fn)
			}
		case name == "disconnect":
			if disconnect, ok = fn.(func(*Session)); !ok {
				return nil, fmt.Errorf(`"disconnect" is %T, want func(*hub.Session)`, fn)
			}
		case ReservedEvent(name):
			return nil, fmt.Errorf("%q: %w", name, ErrReservedEvent)
		default:
			c, err := newCall(fn)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", name, err)
			}
			table[name] = c
		}
	}
	return func(s *Session) error {
		if disconnect != nil {
			defer disconnect(s)
		}
		if connect != nil {
			if err := connect(s); err != nil {
				return err
			}
		}
		for ev := range s.Events() {
			c, ok := table[ev.Name]
			if !ok {
				ev.Refuse(refusal("unknown_event", "no such event: %q", clip(ev.Name)))
				continue
			}
			c.run(s, ev)
		}
		return nil
	}, nil
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
	answer, err := c.invoke(s, ev)
	if err == nil && ev.WantsAck() && (c.results > 0 || !c.event) {
		err = ev.Ack(answer...)
	}
	if err != nil {
		ev.Refuse(err)
	}
}

// invoke calls the function with the event's arguments and returns its results.
func (c *call) invoke(s *Session, ev *Event) ([]any, error) {
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
	answer := make([]any, c.results)
	for i := range answer {
		answer[i] = out[i].Interface()
	}
	return answer, nil
}
