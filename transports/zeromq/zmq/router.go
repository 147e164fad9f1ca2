package zmq

import (
	"encoding/binary"
	"fmt"

	"greenroom/transports/zeromq/internal/guard"
)

// router knows its peers by name (RFC 28): what arrives has the peer's identity in front, and what is sent goes to the
// peer whose identity stands there. Peers without one get five bytes, the first of them zero, which no peer can claim.
type router struct {
	plain
	byID map[string]*peer
	last uint32
}

func newRouter(s *Socket) pattern { return &router{plain: plain{s}, byID: make(map[string]*peer)} }

func (r *router) attach(p *peer) error {
	p.id = p.guard.Identity()
	if p.id == "" {
		p.id = r.newID()
	}
	if old := r.byID[p.id]; old != nil {
		twice := &guard.Violation{Reason: reasonTwice, Detail: fmt.Sprintf("two peers of identity %q", p.id)}
		if !r.s.opts.Handover {
			return twice
		}
		old.guard.Fail(twice)
	}
	r.byID[p.id] = p
	return nil
}

func (r *router) newID() string {
	for {
		r.last++
		id := string(binary.BigEndian.AppendUint32([]byte{0}, r.last))
		if r.byID[id] == nil {
			return id
		}
	}
}

func (r *router) detach(p *peer) {
	if r.byID[p.id] == p {
		delete(r.byID, p.id)
	}
}

func (r *router) arrive(p *peer, frames [][]byte) (message, bool) {
	return message{frames: append([][]byte{[]byte(p.id)}, frames...)}, true
}

func (r *router) send(frames [][]byte) error {
	if len(frames) < 2 {
		return fmt.Errorf("%w: a ROUTER sends an identity and what that peer shall get", ErrMessage)
	}
	p := r.byID[string(frames[0])]
	switch {
	case p != nil && p.guard.TrySend(r.s.encode(frames[1:])):
	case !r.s.opts.Mandatory:
		r.s.stats.Dropped++
	case p == nil || !p.guard.Sending():
		return ErrUnroutable
	default:
		return errWait
	}
	return nil
}

func (r *router) sendable() bool { return true } // to some; nobody knows to whom
