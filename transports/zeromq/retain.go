package zeromq

import (
	"slices"
	"strings"

	"greenroom/hub"
)

// keeper is what retains publications: a *hub.Hub does.
type keeper interface {
	WithRetained(fn func(hub.RetainedView))
}

// retainedValue is a retained publication as it is sent.
type retainedValue struct {
	topic string
	wire  []byte
}

// addTopic subscribes s. What rooms retain goes to it alone, in front of what it hears of them from then on: while the
// hub holds still what it retains, either a publication is among that or the tap sees it afterwards.
func (e *egress) addTopic(s *subscriber, topic string) (did added) {
	k, ok := e.bridge.hub.(keeper)
	if !ok || ownTopic(topic) || e.topics.has(s, topic) {
		return e.topics.add(s, topic, e.bridge.opts.MaxTopics, nil)
	}
	k.WithRetained(func(v hub.RetainedView) {
		values := e.retained(v, s, topic)
		did = e.topics.add(s, topic, e.bridge.opts.MaxTopics, func() {
			for _, value := range values {
				if !s.hears(value.topic) { // else it has it already, and perhaps newer ones behind it
					e.sendTo(s, value.wire)
				}
			}
		})
	})
	return did
}

// maxLoads bounds the namespaces of which one subscription has read what rooms retain.
const maxLoads = 100

// loader is what knows what rooms of other nodes retain, once it was told to: a hub that shares it with them.
func (e *egress) loader() *hub.Hub {
	if h, ok := e.bridge.hub.(*hub.Hub); ok && h.Options().Adapter != nil {
		return h
	}
	return nil
}

// load has the hub know what rooms retain that were published on other nodes. It returns what waits for it, and what ends
// the demand for what comes of them from now on: that must not be before the subscription has taken it over.
func (e *egress) load(h *hub.Hub, topic string) (wait, done func()) {
	var waits, cancels []func()
	var namespaces []*hub.Namespace
	if !ownTopic(topic) {
		namespaces = h.Namespaces()
	}
	for _, ns := range namespaces {
		if rooms, ok := roomPrefix(ns.Name(), topic); ok && len(waits) < maxLoads {
			cancels = append(cancels, h.Want(ns.Name(), rooms))
			waits = append(waits, h.BeginLoadRetained(ns.Name(), rooms, "", e.bridge.opts.MaxRetained))
		}
	}
	all := func(list []func()) func() {
		return func() {
			for _, fn := range list {
				fn()
			}
		}
	}
	return all(waits), all(cancels)
}

// retained encodes what s is to get with its subscription.
func (e *egress) retained(v hub.RetainedView, s *subscriber, topic string) (values []retainedValue) {
	eachRetained(v, topic, func(t string, m *hub.Message) bool {
		if s.only != nil && !s.only.Match(m.Namespace, m.Room) {
			return true
		}
		if len(values) == e.bridge.opts.MaxRetained {
			e.bridge.refused(reasonRetained, "a subscription is to more retained values than it brings", "remote", s.who.Remote, "topic", topic)
			return false
		}
		wire, err := e.encoder.append(nil, t, m, true)
		if err != nil {
			e.bridge.refused(reasonOutgoing, "a message cannot be sent", "room", m.Room, "error", err)
			return true
		}
		values = append(values, retainedValue{t, wire})
		return true
	})
	return values
}

// eachRetained calls fn for the retained publications whose topics start with prefix, until it returns false.
func eachRetained(v hub.RetainedView, prefix string, fn func(topic string, m *hub.Message) bool) {
	namespaces := v.Namespaces()
	slices.Sort(namespaces)
	for _, ns := range namespaces {
		rooms, ok := roomPrefix(ns, prefix)
		if !ok {
			continue
		}
		for m := range v.Messages(ns, rooms) {
			if topic := topicOf(ns, m.Room); strings.HasPrefix(topic, prefix) && !fn(topic, m) {
				return
			}
		}
	}
}

// roomPrefix is the beginning of the rooms of a namespace whose topics may start with prefix; false when none can.
func roomPrefix(namespace, prefix string) (rooms string, ok bool) {
	head := namespace + topicSeparator
	within, named := strings.CutPrefix(prefix, head)
	switch {
	case named: // of "/" too: the room "/chat#r" has the topic "/#/chat#r", and no other one starts with "/#"
		return within, true
	case namespace == "/":
		return prefix, true
	case strings.HasPrefix(head, prefix):
		return "", true
	}
	return "", false
}
