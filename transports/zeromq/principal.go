package zeromq

import (
	"fmt"
	"strings"

	"greenroom/hub"
)

// Principal is who a peer is and what it may do. It must not be changed once a connection has it. A nil
// *Principal may nothing.
type Principal struct {
	// User is the verified identity, ZAP's user id: "" where nobody proved one.
	User string
	// Name is shown as from.name of what the peer publishes. Default: User.
	Name string
	// Publish and Read are the rooms that the peer may publish into, and hear. None by default.
	Publish, Read Patterns
	// Control lets the peer use the control endpoint and be a worker.
	Control bool
}

// anyone is who comes through an endpoint that asks nobody: it may do everything.
func anyone(name string) *Principal {
	return &Principal{Name: name, Publish: Patterns{"*"}, Read: Patterns{"*"}, Control: true}
}

// MayPublish reports whether the principal may publish into a room. namespace "" is "/".
func (p *Principal) MayPublish(namespace, room string) bool {
	return p != nil && p.Publish.Match(namespace, room)
}

// MayRead reports whether the principal may hear a room, its history and its members. namespace "" is "/".
func (p *Principal) MayRead(namespace, room string) bool {
	return p != nil && p.Read.Match(namespace, room)
}

// MayControl reports whether the principal may use the control endpoint and be a worker.
func (p *Principal) MayControl() bool { return p != nil && p.Control }

// sender is what stands in `from` of the principal's publications. It is made once for a connection.
func (p *Principal) sender() *hub.Sender {
	name := p.Name
	if name == "" {
		name = p.User
	}
	return &hub.Sender{ID: "zeromq", Name: name, User: p.User}
}

// is gives a peer its principal. Owner.
func (p *peer) is(who *Principal) { p.principal, p.from = who, who.sender() }

// forbidden counts and logs what a principal was not allowed to do. The peer is told nothing: it could learn from
// the answer which rooms there are.
func (b *Bridge) forbidden(p *peer, msg string, args ...any) {
	b.refused(reasonForbidden, msg, append(args, "socket", p.endpoint.typ, "remote", p.remote, "user", p.principal.User)...)
}

// Patterns are rooms in the form of topics, as subscribers write them: "news", or "/chat#lobby" in another
// namespace than "/". A trailing "*" stands for any ending, also an empty one: "prices.*" are the rooms of "/"
// that start with "prices.", "/chat#*" all of /chat, and "*" is every room of every namespace. Other stars are
// letters. No pattern matches nothing.
type Patterns []string

// maxPatterns bounds what each publication and subscription of a principal is compared with.
const maxPatterns = 256

// ParsePatterns reads a list with commas: "prices.*, news". An empty list has no patterns.
func ParsePatterns(list string) (Patterns, error) {
	var p Patterns
	for item := range strings.SplitSeq(list, ",") {
		item = strings.TrimSpace(item)
		switch {
		case item == "" && strings.TrimSpace(list) == "":
			return nil, nil
		case item == "":
			return nil, fmt.Errorf("patterns %.64q: one of them is empty", list)
		case len(p) == maxPatterns:
			return nil, fmt.Errorf("patterns %.64q: more than %d", list, maxPatterns)
		}
		p = append(p, item)
	}
	return p, nil
}

// String is the list that [ParsePatterns] reads.
func (p Patterns) String() string { return strings.Join(p, ",") }

// Match reports whether a room is one of the patterns'. namespace "" is "/".
func (p Patterns) Match(namespace, room string) bool {
	if len(p) > 0 && p[0] == "*" {
		return true // of most principals; saves the topic
	}
	if len(p) == 0 {
		return false
	}
	topic := topicOf(namespace, room)
	for _, pattern := range p {
		if prefix, open := strings.CutSuffix(pattern, "*"); topic == pattern || open && strings.HasPrefix(topic, prefix) {
			return true
		}
	}
	return false
}

// reach says how much of a subscription's topics patterns match.
type reach uint8

const (
	reachNone reach = iota // none that could ever be
	reachSome              // some: each message has to be looked at
	reachAll               // all
)

// reach compares the patterns with a subscription, the prefix of topics.
func (p Patterns) reach(subscription string) reach {
	r := reachNone
	for _, pattern := range p {
		prefix, open := strings.CutSuffix(pattern, "*")
		switch {
		case open && strings.HasPrefix(subscription, prefix):
			return reachAll
		case strings.HasPrefix(prefix, subscription):
			r = reachSome
		}
	}
	return r
}
