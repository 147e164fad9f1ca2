package zmq

import (
	"encoding/binary"
	"time"
)

// req asks one peer after the other, and waits for the answer (RFC 28). With Relaxed or Resend a request has a number
// in front of the empty frame, which comes back with the answer: it is part of the envelope, which services return.
type req struct {
	robin
	state    reqState
	number   uint32
	request  [][]byte // what has been asked, kept while it may have to be sent again
	asked    *peer    // who has it; nil when nobody does: it waits for a peer
	answer   [][]byte
	resend   *time.Timer
	numbered bool
}

type reqState uint8

const (
	reqIdle     reqState = iota // to send
	reqAsked                    // an answer is to come
	reqAnswered                 // it waits for Recv
	reqLost                     // the peer has gone: Recv says so
)

func newReq(s *Socket) pattern {
	return &req{robin: robin{plain: plain{s}}, numbered: s.opts.Relaxed || s.opts.Resend > 0}
}

func (r *req) send(frames [][]byte) error {
	if r.state != reqIdle && !r.s.opts.Relaxed {
		return ErrState
	}
	p, err := r.pass(r.encodeNumbered(r.number+1, frames))
	if err != nil {
		return err
	}
	r.stop()
	r.number++
	r.state, r.asked, r.answer = reqAsked, p, nil
	if r.s.opts.Resend > 0 {
		r.request = clone(frames)
		r.arm()
	}
	return nil
}

func (r *req) encodeNumbered(number uint32, frames [][]byte) []byte {
	head := [][]byte{nil}
	if r.numbered {
		head = [][]byte{binary.BigEndian.AppendUint32(nil, number), nil}
	}
	return r.s.encode(head, frames...)
}

// arm has the request sent again when its time has come. The timer ends with the request or the socket; one that
// fires meanwhile finds another number or state.
func (r *req) arm() {
	number := r.number
	r.resend = time.AfterFunc(r.s.opts.Resend, func() {
		r.s.mu.Lock()
		defer r.s.mu.Unlock()
		if r.state == reqAsked && r.number == number && !r.s.closed {
			r.again()
		}
	})
}

// again sends the request to the next peer that there is; without one it waits for the next to come.
func (r *req) again() {
	r.stop()
	r.asked, _ = r.pass(r.encodeNumbered(r.number, r.request)) // nil when nobody has room
	r.arm()
}

func (r *req) stop() {
	if r.resend != nil {
		r.resend.Stop()
		r.resend = nil
	}
}

func (r *req) attach(p *peer) error {
	err := r.robin.attach(p)
	if r.state == reqAsked && r.asked == nil {
		r.again()
	}
	return err
}

func (r *req) detach(p *peer) {
	r.robin.detach(p)
	switch {
	case r.state != reqAsked || r.asked != p:
	case r.s.opts.Resend > 0:
		r.again()
	default:
		r.state, r.asked = reqLost, nil
		r.s.receivers.one()
	}
}

// arrive keeps the answer itself: there is one at most.
func (r *req) arrive(p *peer, frames [][]byte) (message, bool) {
	if r.numbered {
		if len(frames) == 0 || len(frames[0]) != 4 || binary.BigEndian.Uint32(frames[0]) != r.number {
			return r.ignore()
		}
		frames = frames[1:]
	}
	// A request that was sent twice may be answered by who had it first.
	fits := r.state == reqAsked && (r.numbered || p == r.asked)
	if !fits || len(frames) < 2 || len(frames[0]) > 0 {
		return r.ignore()
	}
	r.stop()
	r.state, r.answer, r.request, r.asked = reqAnswered, frames[1:], nil, nil
	r.s.receivers.one()
	return message{}, false
}

func (r *req) recv() (message, error) {
	m := message{frames: r.answer}
	switch r.state {
	case reqIdle:
		return m, ErrState
	case reqAsked:
		return m, errWait
	case reqLost:
		m.frames = nil
		r.idle()
		return m, ErrNoAnswer
	}
	r.idle()
	return m, nil
}

func (r *req) idle() {
	r.state, r.answer = reqIdle, nil
	r.s.senders.everybody() // pollers
}

func (r *req) receivable() bool { return r.state >= reqAnswered }

func (r *req) sendable() bool {
	return (r.state == reqIdle || r.s.opts.Relaxed) && r.robin.sendable()
}

func (r *req) close() { r.stop() }
