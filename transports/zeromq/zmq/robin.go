package zmq

import "slices"

// robin sends to its peers in turn, those left out that have no room. The socket's mu guards it.
type robin struct {
	plain
	peers []*peer
	next  int
}

func (r *robin) attach(p *peer) error {
	r.peers = append(r.peers, p)
	return nil
}

func (r *robin) detach(p *peer) {
	i := slices.Index(r.peers, p)
	r.peers = slices.Delete(r.peers, i, i+1)
	if i < r.next {
		r.next--
	}
}

func (r *robin) send(frames [][]byte) error {
	_, err := r.pass(r.s.encode(frames))
	return err
}

// pass gives a message to the next peer, and says to whom.
func (r *robin) pass(wire []byte) (*peer, error) {
	for range r.peers {
		p := r.peers[r.next%len(r.peers)]
		r.next = (r.next + 1) % len(r.peers)
		if p.guard.TrySend(wire) {
			return p, nil
		}
	}
	return nil, errWait
}

func (r *robin) sendable() bool {
	return slices.ContainsFunc(r.peers, func(p *peer) bool { return p.guard.Room() })
}
