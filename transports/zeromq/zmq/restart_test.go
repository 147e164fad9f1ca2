//go:build unix

package zmq_test

import (
	"fmt"
	"syscall"
	"testing"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq/zmq"
)

// endpoints that a peer can bind again.
func endpoints(t *testing.T) map[string]string {
	return map[string]string{"ipc": "ipc://" + t.TempDir() + "/s", "tcp": fmt.Sprintf("tcp://127.0.0.1:%d", testenv.FreePort(t))}
}

// A service that is killed takes its request along, which Recv says, and is found again when it is back: the next request
// waits for it. What a killed service leaves of an ipc endpoint is in nobody's way.
func TestAKilledServiceIsFoundAgain(t *testing.T) {
	for over, endpoint := range endpoints(t) {
		t.Run(over, func(t *testing.T) {
			s := open(t, zmq.REQ, zmq.Options{})
			dial(t, s, endpoint)
			for i := range 3 {
				p := python(t, "testdata/peer.py", "REP", "echo", "bind", endpoint)
				send(t, s, fmt.Sprint(i)) // from the second time on: as soon as it is there
				expect(t, s, fmt.Sprint(i))
				// The one that is killed must not have answered before.
				if err := p.Signal(syscall.SIGSTOP); err != nil {
					t.Fatal(err)
				}
				send(t, s, "lost")
				p.Kill()
				_, err := s.RecvContext(patient(t))
				wantErr(t, err, zmq.ErrNoAnswer)
			}
		})
	}
}

// A PULL that is killed and comes back gets what is sent from then on.
func TestAKilledPullIsFoundAgain(t *testing.T) {
	for over, endpoint := range endpoints(t) {
		t.Run(over, func(t *testing.T) {
			s := open(t, zmq.PUSH, zmq.Options{})
			dial(t, s, endpoint)
			for range 3 {
				p := python(t, "testdata/peer.py", "PULL", "recv", "bind", endpoint)
				for _, m := range samples {
					if err := s.SendContext(patient(t), m...); err != nil {
						t.Fatal(err)
					}
				}
				printed(t, p, "all there")
				p.Kill()
				eventually(t, "the end of the connection", func() bool { return s.Stats().Peers == 0 })
			}
		})
	}
}
