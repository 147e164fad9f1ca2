package zmq

import "greenroom/transports/zeromq/internal/guard"

// pair has one peer at most (RFC 31).
type pair struct{ robin }

func newPair(s *Socket) pattern { return &pair{robin{plain: plain{s}}} }

func (p *pair) attach(q *peer) error {
	if len(p.peers) > 0 {
		return &guard.Violation{Reason: reasonPaired, Detail: "this PAIR has a peer"}
	}
	return p.robin.attach(q)
}
