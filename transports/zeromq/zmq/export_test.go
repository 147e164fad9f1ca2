package zmq

// Waiting is how many messages wait for Recv.
func Waiting(s *Socket) (n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.ready.items[s.ready.head:] {
		n += p.in.len()
	}
	return n
}
