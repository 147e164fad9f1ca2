//go:build (linux || darwin || dragonfly || freebsd || netbsd || openbsd) && !coop_portable

package coop

// OnDescriptor reports whether the loop serves s by itself.
func OnDescriptor(s *Stream) bool { return s.fd >= 0 }

// TLSBacklog is how much of a TLS stream is encrypted but not sent, and whether it waits for that to be sent before
// it reads on. Loop only.
func TLSBacklog(s *Stream) (bytes int, choked bool) {
	t := s.via.(*tlsCarrier)
	return len(t.out), t.choked
}
