package zmq_test

import (
	"fmt"
	"testing"

	"greenroom/coop"
	"greenroom/transports/zeromq"
	"greenroom/transports/zeromq/zmq"
)

func newKey(t *testing.T) zeromq.SecretKey {
	t.Helper()
	k, err := zeromq.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// theirCurve is the environment that has testdata/peer.py take a side of CURVE.
func theirCurve(own zeromq.SecretKey, server *zeromq.PublicKey) string {
	env := "PEER_CURVE=" + own.Z85() + own.Public().String()
	if server != nil {
		env += server.String()
	}
	return env
}

// Every pair under CURVE, libzmq on either side of it, and on either side of the connection.
func TestPyzmqCurve(t *testing.T) {
	ours, theirs := newKey(t), newKey(t)
	our, their := ours.Public(), theirs.Public()
	for i, c := range matrix {
		for j, role := range []string{"server", "client"} {
			how := []string{"bind", "connect"}[(i+j)%2]
			t.Run(fmt.Sprintf("%s-%s/%s/%s", c.ours, c.theirs, role, how), func(t *testing.T) {
				if role == "server" {
					met(t, c, how, anyPort, theirCurve(theirs, &our),
						zmq.CurveServer{Key: ours, Admit: func(k zeromq.PublicKey) bool { return k == their }})
				} else {
					met(t, c, how, anyPort, theirCurve(theirs, nil), zmq.CurveClient{Server: their, Key: ours})
				}
			})
		}
	}
}

// Who has the wrong key, or none, is no peer: neither of ours nor of libzmq's.
func TestPyzmqCurveRefuses(t *testing.T) {
	ours, theirs := newKey(t), newKey(t)
	our, other := ours.Public(), newKey(t).Public()
	for name, c := range map[string]struct {
		security zmq.Security
		env      string
	}{
		"their key is not admitted": {zmq.CurveServer{Key: ours, Admit: func(zeromq.PublicKey) bool { return false }}, theirCurve(theirs, &our)},
		"they know another server":  {zmq.CurveServer{Key: ours}, theirCurve(theirs, &other)},
		"they have no CURVE":        {zmq.CurveServer{Key: ours}, "PEER_CURVE="},
		"we know another server":    {zmq.CurveClient{Server: other}, theirCurve(theirs, nil)},
		"we have no CURVE":          {nil, theirCurve(theirs, nil)},
		"both are servers":          {zmq.CurveServer{Key: ours}, theirCurve(theirs, nil)},
	} {
		t.Run(name, func(t *testing.T) {
			events := make(chan zmq.Event, 100)
			s := open(t, zmq.PULL, zmq.Options{Security: c.security, Monitor: func(e zmq.Event) {
				select {
				case events <- e:
				default:
				}
			}})
			p := pythonWith(t, c.env, "testdata/peer.py", "PUSH", "send", "bind", "tcp://127.0.0.1:*")
			dial(t, s, boundAt(t, p))
			if e := <-events; e.Connected || e.Err == nil {
				t.Errorf("connected: %t, %v", e.Connected, e.Err)
			} else {
				t.Log(e.Err)
			}
			if _, err := s.TryRecv(); err != coop.ErrNotReady {
				t.Error(err)
			}
		})
	}
}

// The side that is asked for its key or its password may as well be the one that listens.
func TestEitherSideListens(t *testing.T) {
	key := newKey(t)
	for name, c := range map[string][2]zmq.Security{
		"CURVE": {zmq.CurveServer{Key: key}, zmq.CurveClient{Server: key.Public()}},
		"PLAIN": {
			zmq.PlainServer{Admit: func(user, password string) bool { return user+password == "anntea" }},
			zmq.PlainClient{User: "ann", Password: "tea"},
		},
	} {
		for i := range c {
			t.Run(fmt.Sprint(name, i), func(t *testing.T) {
				a, b := pairOf(t, zmq.PAIR, zmq.Options{Security: c[i]}, zmq.PAIR, zmq.Options{Security: c[1-i]})
				send(t, a, "x")
				expect(t, b, "x")
				send(t, b, "y")
				expect(t, a, "y")
			})
		}
	}
}
