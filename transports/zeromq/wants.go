package zeromq

import (
	"strings"

	"greenroom/hub"
)

// wanter is a hub that is one of several nodes, which bring it the messages that somebody here wants.
type wanter interface {
	TapWanted(fn func(*hub.Message)) (cancel func())
	Want(namespace, prefix string) (cancel func())
}

// wants tells the hub what the subscribers of our XPUB want to hear. topics.mu guards it.
type wants struct {
	hub    wanter
	topics map[string]func() // what ends the demand for a topic
}

// tell is told of the first subscriber of a topic and of the end of the last.
func (w *wants) tell(topic string, live bool) {
	if ownTopic(topic) {
		return
	}
	if !live {
		if cancel := w.topics[topic]; cancel != nil {
			cancel()
			delete(w.topics, topic)
		}
		return
	}
	namespace, prefix := splitTopic(topic, "/")
	if topic == "" || strings.HasPrefix(topic, "/") && !strings.Contains(topic, topicSeparator) {
		namespace, prefix = "", "" // perhaps the beginning of a namespace's name
	}
	w.topics[topic] = w.hub.Want(namespace, prefix)
}

// tap has the egress hear the hub's messages, and the hub know which ones. The bridge has not started.
func (e *egress) tap(h Hub) (untap func()) {
	w, ok := h.(wanter)
	if !ok {
		return h.Tap(e.publish)
	}
	wants := &wants{hub: w, topics: make(map[string]func())}
	also := e.topics.wanted
	e.topics.wanted = func(topic string, live bool) {
		wants.tell(topic, live)
		if also != nil {
			also(topic, live)
		}
	}
	stop := w.TapWanted(e.publish)
	return func() {
		stop()
		e.topics.mu.Lock()
		defer e.topics.mu.Unlock()
		e.topics.wanted = also
		for _, cancel := range wants.topics {
			cancel()
		}
	}
}
