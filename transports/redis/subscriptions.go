package redis

// subKind is a way to subscribe.
type subKind uint8

const (
	subChannel subKind = iota // SUBSCRIBE
	subPattern                // PSUBSCRIBE
	subShard                  // SSUBSCRIBE
)

var (
	subscribeWords   = [...]string{subChannel: "SUBSCRIBE", subPattern: "PSUBSCRIBE", subShard: "SSUBSCRIBE"}
	unsubscribeWords = [...]string{subChannel: "UNSUBSCRIBE", subPattern: "PUNSUBSCRIBE", subShard: "SUNSUBSCRIBE"}
)

// subKey names a subscription.
type subKey struct {
	kind    subKind
	channel string
}

// subOp is a command about a subscription that has been sent.
type subOp struct {
	sub *subscription
	on  bool // to subscribe
}

// subscription is what one connection knows of one.
type subscription struct {
	key       subKey
	wanted    bool // by the link
	sent      bool // the last command sent on this connection was to subscribe
	waiting   int  // commands whose replies have not come
	confirmed bool // the server has it, and no command is under way
	refused   bool // the last reply was an error: it is left alone until retry
	dirty     bool // in the list of those to look at
}

// subscriptions are those of one connection: which are wanted, what has been sent, and what the server has confirmed.
// It is a state machine without time and without input or output; whoever has it holds a lock.
//
// Commands carry one channel each, so that each has one reply and an error has an owner. Replies come in the order of
// the commands, but for a sunsubscribe, which a server of a Cluster sends by itself when a slot moves away.
type subscriptions struct {
	all     map[subKey]*subscription
	dirty   []*subscription // a change may have to be sent
	pending []subOp         // sent, in order, from head on
	head    int
	missing int // wanted ones that are not confirmed
}

func newSubscriptions() subscriptions {
	return subscriptions{all: make(map[subKey]*subscription)}
}

// want has key subscribed or not, whatever the connection is doing.
func (s *subscriptions) want(key subKey, on bool) {
	sub := s.all[key]
	if sub == nil {
		if !on {
			return
		}
		sub = &subscription{key: key}
		s.all[key] = sub
	}
	if sub.wanted == on {
		return
	}
	s.missing -= sub.lacks()
	sub.wanted, sub.refused = on, false
	s.missing += sub.lacks()
	s.touch(sub)
	s.forget(sub)
}

// has reports whether the server has confirmed key.
func (s *subscriptions) has(key subKey) bool {
	sub := s.all[key]
	return sub != nil && sub.wanted && sub.confirmed
}

func (sub *subscription) lacks() int {
	if sub.wanted && !sub.confirmed {
		return 1
	}
	return 0
}

func (s *subscriptions) touch(sub *subscription) {
	if !sub.dirty {
		sub.dirty = true
		s.dirty = append(s.dirty, sub)
	}
}

// forget removes one that nothing holds any more.
func (s *subscriptions) forget(sub *subscription) {
	if !sub.wanted && !sub.sent && sub.waiting == 0 && s.all[sub.key] == sub {
		delete(s.all, sub.key)
	}
}

// next is the next command to send.
func (s *subscriptions) next() (subOp, bool) {
	for len(s.dirty) > 0 {
		sub := s.dirty[len(s.dirty)-1]
		s.dirty[len(s.dirty)-1] = nil
		s.dirty = s.dirty[:len(s.dirty)-1]
		sub.dirty = false
		if sub.wanted == sub.sent || sub.refused {
			continue
		}
		s.missing -= sub.lacks()
		sub.sent, sub.confirmed = sub.wanted, false
		s.missing += sub.lacks()
		sub.waiting++
		op := subOp{sub, sub.sent}
		s.pending = append(s.pending, op)
		return op, true
	}
	s.dirty = nil
	return subOp{}, false
}

// answered takes the server's word for one. ok is false when that is not what the next reply has to be: then nothing
// is known of the connection. done: the subscription is confirmed now. moved: the server has ended it by itself, and
// it has to be looked for elsewhere.
func (s *subscriptions) answered(kind subKind, channel []byte, on bool) (sub *subscription, done, moved, ok bool) {
	if s.head < len(s.pending) {
		op := s.pending[s.head]
		if op.on == on && op.sub.key.kind == kind && op.sub.key.channel == string(channel) {
			s.shift()
			sub = op.sub
			if on && sub.waiting == 0 && sub.sent {
				s.missing -= sub.lacks()
				sub.confirmed = true
				s.missing += sub.lacks()
				return sub, sub.wanted, false, true
			}
			s.forget(sub)
			return sub, false, false, true
		}
	}
	sub = s.all[subKey{kind, string(channel)}]
	if on || kind != subShard || sub == nil || sub.waiting > 0 {
		return nil, false, false, false
	}
	s.lose(sub)
	s.forget(sub)
	return sub, false, sub.wanted, true
}

// failed takes an error, which is the reply to the oldest command. sub is the subscription that it was about, on
// whether it was to subscribe.
func (s *subscriptions) failed() (op subOp, ok bool) {
	if s.head == len(s.pending) {
		return subOp{}, false
	}
	op = s.pending[s.head]
	s.shift()
	sub := op.sub
	if sub.waiting == 0 {
		s.lose(sub)
		sub.refused = sub.wanted && op.on
		if !sub.refused {
			s.touch(sub)
		}
		s.forget(sub)
	}
	return op, true
}

// lose: the server has it no more.
func (s *subscriptions) lose(sub *subscription) {
	s.missing -= sub.lacks()
	sub.sent, sub.confirmed = false, false
	s.missing += sub.lacks()
}

func (s *subscriptions) shift() {
	s.pending[s.head].sub.waiting--
	s.pending[s.head] = subOp{}
	s.head++
	if s.head == len(s.pending) {
		s.pending, s.head = s.pending[:0], 0
		if cap(s.pending) > 1024 {
			s.pending = nil
		}
	}
}

// retry has those that were refused sent again.
func (s *subscriptions) retry() {
	for _, sub := range s.all {
		if sub.refused {
			sub.refused = false
			s.touch(sub)
		}
	}
}

// lost: the connection has ended. What is wanted has to be sent on the next.
func (s *subscriptions) lost() {
	s.pending, s.head, s.dirty, s.missing = nil, 0, nil, 0
	for key, sub := range s.all {
		if !sub.wanted {
			delete(s.all, key)
			continue
		}
		*sub = subscription{key: key, wanted: true}
		s.missing++
		s.touch(sub)
	}
}
