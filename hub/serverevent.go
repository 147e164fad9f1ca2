package hub

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"greenroom/coop"
)

// errServerHandled: a second function for one event of the other nodes.
var errServerHandled = errors.New("the event has a handler already")

// reservedServer are the names that Node.js keeps for its namespaces' own events, and those that nodes keep for theirs.
func reservedServer(event string) bool {
	return ReservedEvent(event) || event == "connection" || event == "new_namespace" || strings.HasPrefix(event, ownServerEvent)
}

// OnServer registers what runs when another node calls [Namespace.ServerEmit] or ServerAsk with this event: a
// function like those of [Events], without a session. It runs in a greenlet of its own. Its results are the answer
// to ServerAsk; an error, or arguments of the wrong type, answers {ok:false, error}. Node.js: io.on.
func (ns *Namespace) OnServer(event string, fn any) error {
	if reservedServer(event) {
		return ErrReservedEvent
	}
	c, err := newCall(fn)
	if err == nil && c.session {
		err = errors.New("another node's event has no session")
	}
	if err != nil {
		return fmt.Errorf("%q: %w", event, err)
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	if ns.onServer[event] != nil {
		return fmt.Errorf("%q: %w", event, errServerHandled)
	}
	if ns.onServer == nil {
		ns.onServer = make(map[string]*call)
	}
	ns.onServer[event] = c
	return nil
}

// ServerEmit sends an event to the same namespace on all other nodes, where [Namespace.OnServer] has registered what
// it does. Nothing happens on this node, nor when there are no others. Node.js: io.serverSideEmit.
func (ns *Namespace) ServerEmit(event string, args ...any) error {
	p, err := serverArgs(event, args)
	if err == nil && ns.hub.opts.Adapter != nil {
		ns.hub.request(nil, &NodeRequest{Op: OpServer, Namespace: ns.name, Payload: p})
	}
	return err
}

// ServerAsk is ServerEmit that waits for the answers of the other nodes, at most for d, and fails as [Target.Ask]
// does. A node that has nothing registered for the event gives no answer, and is not missed.
func (ns *Namespace) ServerAsk(d time.Duration, event string, args ...any) ([]Answer, error) {
	p, err := serverArgs(event, args)
	if err != nil {
		return nil, err
	}
	h := ns.hub
	if h.opts.Adapter == nil {
		return nil, nil
	}
	m, err := h.newMeeting()
	if err != nil {
		return nil, err
	}
	g := newGather(h, m.over)
	h.request(g, &NodeRequest{Op: OpServer, Namespace: ns.name, Payload: p, Timeout: d})
	g.step()
	err = g.wait(m, d)
	return g.answers, err
}

func serverArgs(event string, args []any) (Payload, error) {
	if reservedServer(event) {
		return Payload{}, ErrReservedEvent
	}
	return EncodeArgs(event, args...)
}

// serve runs what is registered for an event of another node, and replies when it has ended.
func (ns *Namespace) serve(p Payload, reply func(NodeReply)) {
	done := func(answers ...Answer) {
		if reply != nil {
			reply(NodeReply{Node: ns.hub.opts.Node, Answers: answers, Done: true})
		}
	}
	event, err := p.event()
	if err != nil {
		done()
		return
	}
	ns.mu.RLock()
	c := ns.onServer[event]
	ns.mu.RUnlock()
	if c == nil && reply != nil && strings.HasPrefix(event, ownServerEvent) {
		ns.serveOwn(event, p, done)
		return
	}
	if c == nil {
		ns.hub.Count("server_event_unknown")
		done()
		return
	}
	started := ns.hub.loops.Least().Go(func(*coop.Greenlet) error {
		answer := refusalPayload(errors.New("the handler panicked"))
		defer func() { done(Answer{Payload: answer}) }()
		ev := NewEvent(event, p, NoAck)
		out, err := c.invoke(nil, ev)
		if err == nil {
			answer, err = encodeAck(c.answer(out)...)
		}
		if err != nil {
			ns.hub.Count("event_refused")
			answer = refusalPayload(err)
		}
		return nil
	})
	if !started {
		done() // the hub is closing
	}
}

// serveOwn answers what the nodes ask each other.
func (ns *Namespace) serveOwn(event string, p Payload, done func(...Answer)) {
	started := ns.hub.loops.Least().Go(func(*coop.Greenlet) error {
		var answers []Answer
		defer func() { done(answers...) }()
		if answer, known := ns.servePage(event, p); known {
			answers = []Answer{{Payload: answer}}
		} else {
			ns.hub.Count("server_event_unknown")
		}
		return nil
	})
	if !started {
		done()
	}
}

// event is the first element of an event's payload.
func (p Payload) event() (string, error) {
	all, err := p.Split()
	if err != nil {
		return "", err
	}
	if len(all) == 0 {
		return "", errors.New("an event without a name")
	}
	var event string
	return event, p.Decode(all[0], &event)
}
