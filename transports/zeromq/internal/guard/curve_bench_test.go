package guard

import (
	"bytes"
	"fmt"
	"testing"

	"golang.org/x/crypto/nacl/secretbox"
)

// BenchmarkSeal is what CURVE costs per frame: x/crypto's own cost, ours to seal, and ours to open.
func BenchmarkSeal(b *testing.B) {
	for _, size := range []int{64, 1024} {
		body, out := make([]byte, size), make([]byte, 0, 2*size+100)
		shared, nonce := key(1), nonceOf(nonceClient, nil)
		b.Run(fmt.Sprintf("crypto/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				secretbox.Seal(out, body, &nonce, &shared)
			}
		})
		b.Run(fmt.Sprintf("seal/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			s := newSession(shared, nonceClient, nonceServer, 0, 0)
			for b.Loop() {
				s.seal(out, 0, body)
			}
		})
		b.Run(fmt.Sprintf("open/bytes=%d", size), func(b *testing.B) {
			b.ReportAllocs()
			message := newSession(shared, nonceClient, nonceServer, 0, 0).seal(nil, 0, body)
			h, _ := parseHeader(message)
			s := newSession(shared, nonceServer, nonceClient, 0, 0)
			for b.Loop() {
				s.heard = 0
				if _, err := s.open(out, message[h.len:]); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkCurveHandshake is the server's side of a handshake, without a network.
func BenchmarkCurveHandshake(b *testing.B) {
	stream, _ := curveStreams(b)
	buf := make([]byte, 512)
	for b.Loop() {
		s := (&CurveServer{Secret: vectorServer, random: bytes.NewReader(vectorServerRandom)}).Secure(&canned{in: stream, chunk: 1 << 20}, Limits{})
		for range 2 { // greeting, READY
			if _, err := s.Read(buf); err != nil {
				b.Fatal(err)
			}
		}
	}
}
