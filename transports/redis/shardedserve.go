package redis

import (
	"sync"
	"time"

	"greenroom/hub"
)

// How the sharded adapter serves other nodes' requests, and takes the answers to its own.

// serve does what another node asks for.
func (s *sharded) serve(sp *shardSpace, m *message) error {
	asks := m.requestID != ""
	if m.kind < msgBroadcast || m.kind > msgServerEmit {
		return nil // of another version
	}
	if !m.opts.allowed() || m.opts.ours == 0 && ownRooms(m.rooms) {
		return errForbidden
	}
	if !s.serving.take(asks) {
		return errFlood
	}
	m.keep()
	r := &hub.NodeRequest{Namespace: sp.name, Payload: m.payload, Timeout: serveWithin}
	m.opts.address(r)
	switch m.kind {
	case msgBroadcast:
		r.Op, r.Timeout = hub.OpAsk, time.Duration(m.opts.timeout)*time.Millisecond
	case msgJoin, msgLeave:
		r.Op = hub.OpJoin
		if m.kind == msgLeave {
			r.Op = hub.OpLeave
		}
		for i, room := range m.rooms {
			if i == maxRounds {
				s.node.Count(reasonFlood)
				break
			}
			if room != "" {
				one := *r
				one.Room = room
				s.node.Serve(&one, nil)
			}
		}
		if asks {
			s.serving.done()
		}
		return nil
	case msgDisconnect:
		r.Op, r.CloseConn, r.Reason = hub.OpDisconnect, m.close, nodeDisconnect
		if m.opts.ours != 0 && m.reason != "" {
			r.Reason = m.reason
		}
	case msgFetch:
		r.Op = hub.OpSessions
	case msgServerEmit:
		r.Op = hub.OpServer
	}
	if !asks || r.Op == hub.OpDisconnect {
		s.node.Serve(r, nil)
		if asks {
			s.serving.done()
		}
		return nil
	}
	a := &shardedAnswer{s: s, sp: sp, kind: m.kind, channel: sp.channel + m.uid + "#", id: m.requestID, ours: m.ours || m.opts.ours != 0}
	s.node.Serve(r, a.reply)
	return nil
}

// shardedAnswer is the answer to one question of another node.
type shardedAnswer struct {
	s           *sharded
	sp          *shardSpace
	kind        messageType
	channel, id string
	ours        bool // who asks is a Greenroom node, which understands more

	mu      sync.Mutex
	counted bool // it has been told how many clients were asked
	over    bool
}

func (a *shardedAnswer) publish(m message) {
	m.requestID = a.id
	if a.ours {
		m.node = a.s.node.Name()
	}
	a.s.publish(a.sp, a.channel, &m)
}

// reply passes on what the hub answers.
func (a *shardedAnswer) reply(r hub.NodeReply) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.over {
		return
	}
	switch a.kind {
	case msgBroadcast:
		if !a.counted && (r.Done || len(r.Answers) == 0) {
			a.counted = true
			a.publish(message{kind: msgClientCount, count: r.Asked})
		}
		for _, answer := range r.Answers {
			a.publish(a.said(msgAck, answer))
		}
		if r.Done && len(r.Missing) > 0 && a.ours {
			a.publish(message{kind: msgMissing, missing: r.Missing})
		}
	case msgServerEmit:
		switch {
		case !r.Done:
		case len(r.Answers) > 0:
			a.publish(a.said(msgServerEmitted, r.Answers[0]))
		case a.ours:
			a.publish(message{kind: msgServerEmitted, payload: hub.Payload{JSON: []byte("[]")}, none: true})
		default: // Node.js waits for all nodes, and does not tell those that have nothing to say
			a.publish(message{kind: msgServerEmitted, payload: hub.Payload{JSON: []byte("[null]")}})
		}
	case msgFetch:
		if !r.Done {
			break
		}
		list := []byte{'['}
		for i := range r.Sessions {
			if i > 0 {
				list = append(list, ',')
			}
			list = appendSocket(list, &r.Sessions[i], a.ours)
		}
		a.publish(message{kind: msgFetched, payload: hub.Payload{JSON: append(list, ']')}})
	}
	if r.Done {
		a.over = true
		a.s.serving.done()
	}
}

// said is a message with what a client, or a node, has answered.
func (a *shardedAnswer) said(kind messageType, answer hub.Answer) message {
	m := message{kind: kind, payload: answer.Payload}
	if a.ours {
		m.session = answer.Session
		if more(answer.Payload, first(answer.Payload)) {
			m.more = answer.Payload
		}
	}
	return m
}

// answered takes an answer to a question of this node.
func (s *sharded) answered(sp *shardSpace, m *message) error {
	q := s.questions.find(m.requestID)
	if q == nil || q.nsp != sp.name {
		return nil
	}
	m.keep()
	from := answerFrom{request: m.requestID, id: m.uid, name: m.node, bytes: m.size()}
	if from.name == "" {
		from.name = hub.Unnamed
	}
	said := hub.Answer{Session: m.session, Payload: m.payload}
	if m.more.JSON != nil {
		said.Payload = m.more
	}
	switch {
	case q.op == hub.OpAsk && m.kind == msgClientCount:
		return q.asked(from, m.count)
	case q.op == hub.OpAsk && m.kind == msgAck:
		return q.client(from, said)
	case q.op == hub.OpAsk && m.kind == msgMissing:
		return q.missing(from, m.missing)
	case q.op == hub.OpServer && m.kind == msgServerEmitted:
		var r hub.NodeReply
		if !m.none {
			r.Answers = []hub.Answer{said}
		}
		return q.node(from, r)
	case (q.op == hub.OpSessions || q.op == hub.OpRooms) && m.kind == msgFetched:
		text, err := jsonOf(m.payload)
		if err != nil {
			return errMalformed
		}
		var r hub.NodeReply
		seen := make(map[string]bool)
		ok := eachSocket(text, sp.name, func(snap hub.Snapshot) {
			if q.op == hub.OpSessions {
				r.Sessions = append(r.Sessions, snap)
				return
			}
			for _, room := range append(snap.Rooms, snap.ID) {
				if !seen[room] && room[0] != '$' {
					seen[room] = true
					r.Rooms = append(r.Rooms, room)
				}
			}
		})
		if !ok {
			return errMalformed
		}
		return q.node(from, r)
	}
	return nil
}
