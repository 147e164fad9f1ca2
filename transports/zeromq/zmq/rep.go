package zmq

// rep answers each request before it takes the next one (RFC 28). A request's envelope, its frames up to the first
// empty one, goes back with the answer.
type rep struct {
	plain
	asked    *peer // whose request is being answered; nil for none
	envelope [][]byte
}

func newRep(s *Socket) pattern { return &rep{plain: plain{s}} }

func (r *rep) arrive(_ *peer, frames [][]byte) (message, bool) {
	for i, f := range frames {
		if len(f) == 0 && i+1 < len(frames) {
			return message{envelope: frames[:i+1], frames: frames[i+1:]}, true
		}
	}
	return r.ignore()
}

func (r *rep) recv() (message, error) {
	if r.asked != nil {
		return message{}, ErrState
	}
	m, err := r.s.fair()
	if err == nil {
		r.asked, r.envelope = m.from, m.envelope
		r.s.senders.everybody() // pollers
	}
	return m, err
}

func (r *rep) send(frames [][]byte) error {
	if r.asked == nil {
		return ErrState
	}
	// A client that has gone, or does not read, must not hold up the others.
	if !r.asked.guard.TrySend(r.s.encode(r.envelope, frames...)) {
		r.s.stats.Dropped++
	}
	r.asked, r.envelope = nil, nil
	if r.s.ready.len() > 0 {
		r.s.receivers.one() // requests that came meanwhile
	}
	return nil
}

func (r *rep) sendable() bool   { return r.asked != nil }
func (r *rep) receivable() bool { return r.asked == nil && r.plain.receivable() }
