package redis

import (
	"fmt"
	"net"
)

// What the connections of a link tell it.

// writerUp notes that w can send, or why not.
func (l *link) writerUp(w *writer, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err != nil && w.err == nil {
		l.count(reasonReconnect)
	}
	if err == nil && w.err != nil {
		if s := l.readers[w.addr]; s != nil { // what is published before it is back is not heard here
			select {
			case s.again <- struct{}{}:
			default:
			}
		}
	}
	w.err = err
	if err != nil {
		l.topo.failed(w.addr)
		l.lookAgain()
	}
	l.tell()
}

// subscriberUp notes that s is connected.
func (l *link) subscriberUp(s *subscriber, conn net.Conn) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || s.gone {
		return false
	}
	s.conn, s.err = conn, nil
	s.subs.lost()
	l.tell()
	return true
}

// subscriberDown notes why s is not. It reports whether it is to try again.
func (l *link) subscriberDown(s *subscriber, err error) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed || s.gone {
		s.conn = nil
		return false
	}
	if s.conn != nil {
		l.count(reasonReconnect)
		if len(s.subs.all) > 0 {
			l.count(reasonGap) // what was published until it is back is missed
		}
	}
	if w := l.writers[s.addr]; w != nil && s.conn != nil {
		select {
		case w.probe <- struct{}{}:
		default:
		}
		w.signal()
	}
	s.conn, s.err, s.ping, s.refusal = nil, err, false, nil
	l.topo.failed(s.addr)
	l.lookAgain()
	s.subs.lost()
	l.tell()
	return true
}

// toSend appends the commands that s has to send now.
func (l *link) toSend(s *subscriber, buf []byte) []byte {
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(buf) < 64<<10 {
		op, ok := s.subs.next()
		if !ok {
			break
		}
		words := &unsubscribeWords
		if op.on {
			words = &subscribeWords
		}
		buf = appendCommand(buf, words[op.sub.key.kind], op.sub.key.channel)
	}
	if s.ping {
		s.ping = false
		buf = appendCommand(buf, "PING")
	}
	return buf
}

// askPing has s send a PING.
func (l *link) askPing(s *subscriber) {
	l.mu.Lock()
	s.ping = true
	l.mu.Unlock()
	s.signal()
}

// retry has subscriptions tried again that were refused.
func (l *link) retry(s *subscriber) {
	l.mu.Lock()
	defer l.mu.Unlock()
	s.subs.retry()
	l.tell() // a refusal may have become old
}

// answered takes a confirmation.
func (l *link) answered(s *subscriber, r reply) error {
	l.mu.Lock()
	sub, done, moved, ok := s.subs.answered(r.sub, r.channel, r.kind == replySubscribed)
	if !ok {
		l.mu.Unlock()
		return fmt.Errorf("%w: a confirmation that nobody waits for", errProtocol)
	}
	var waiting []func()
	if done {
		if w := l.wishes[sub.key]; w != nil && w.at == s {
			waiting, w.waiting, w.moves = w.waiting, nil, 0
		}
		if s.subs.missing == 0 {
			s.refusal = nil
			l.tell()
		}
	}
	if moved { // the slot has another owner: this server will say who, or we have learnt it by then
		if w := l.wishes[sub.key]; w != nil && w.at == s {
			l.place(sub.key, w, l.topo.owner(sub.key.channel))
		}
		l.lookAgain()
		l.tell()
	}
	l.mu.Unlock()
	for _, fn := range waiting {
		fn()
	}
	return nil
}

// failed takes an error.
func (l *link) failed(s *subscriber, text []byte) error {
	err := serverError(text)
	l.mu.Lock()
	defer l.mu.Unlock()
	if unusable(err) {
		return err
	}
	op, ok := s.subs.failed()
	if !ok {
		return err
	}
	w := l.wishes[op.sub.key]
	if w == nil || w.at != s || !op.on {
		return nil
	}
	slot, addr, moved := movedTo(string(text))
	switch {
	case moved && w.moves < mostMoves: // ASK is not for channels
		w.moves++
		addr = l.topo.from(s.addr, addr)
		l.topo.moved(slot, addr)
		l.shift()
		l.place(op.sub.key, w, addr)
		l.lookAgain()
	case op.sub.key.channel == l.opts.optional:
		delete(l.wishes, op.sub.key)
		s.subs.want(op.sub.key, false)
		l.log.Warn("redis: a channel of Greenroom's own is refused: two nodes with one name are not noticed", "channel", op.sub.key.channel, "error", err)
		return nil
	default:
		w.moves = 0
		s.refusal = err
	}
	l.tell()
	return nil
}
