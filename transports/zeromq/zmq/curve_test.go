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

// theirCurve has testdata/peer.py take a side of CURVE.
func theirCurve(own zeromq.SecretKey, server ...zeromq.PublicKey) []string {
	words := []string{"curve", own.Z85(), own.Public().String()}
	for _, k := range server {
		words = append(words, k.String())
	}
	return words
}

// Every pair under CURVE, libzmq on either side of it, and on either side of the connection.
func TestPyzmqCurve(t *testing.T) {
	py := newStrangers(t)
	ours, theirs := newKey(t), newKey(t)
	our, their := ours.Public(), theirs.Public()
	for i, c := range matrix {
		for j, role := range []string{"server", "client"} {
			how := []string{"bind", "connect"}[(i+j)%2]
			t.Run(fmt.Sprintf("%s-%s/%s/%s", c.ours, c.theirs, role, how), func(t *testing.T) {
				if role == "server" {
					met(t, py, c, how, anyPort, theirCurve(theirs, our),
						zmq.CurveServer{Key: ours, Admit: func(k zeromq.PublicKey) bool { return k == their }})
				} else {
					met(t, py, c, how, anyPort, theirCurve(theirs), zmq.CurveClient{Server: their, Key: ours})
				}
			})
		}
	}
}

// PLAIN, the same way: one pair of each pattern.
func TestPyzmqPlain(t *testing.T) {
	py := newStrangers(t)
	for i, c := range matrix {
		if i%3 != 0 {
			continue
		}
		for _, how := range []string{"bind", "connect"} {
			t.Run(fmt.Sprintf("%s-%s/server/%s", c.ours, c.theirs, how), func(t *testing.T) {
				met(t, py, c, how, anyPort, []string{"plain", "ann", "tea"},
					zmq.PlainServer{Admit: func(user, password string) bool { return user == "ann" && password == "tea" }})
			})
			if c.theirs == "REQ" {
				continue // libzmq's, with a handler of its own to ask, sends nothing, to libzmq neither
			}
			t.Run(fmt.Sprintf("%s-%s/client/%s", c.ours, c.theirs, how), func(t *testing.T) {
				met(t, py, c, how, anyPort, []string{"plain"}, zmq.PlainClient{User: "ann", Password: "tea"})
			})
		}
	}
}

// Who has the wrong key or password, or none, is no peer: neither of ours nor of libzmq's.
func TestPyzmqRefuses(t *testing.T) {
	py := newStrangers(t)
	ours, theirs := newKey(t), newKey(t)
	our, other := ours.Public(), newKey(t).Public()
	plain := zmq.PlainServer{Admit: func(user, password string) bool { return user == "ann" && password == "tea" }}
	for name, c := range map[string]struct {
		ours   zmq.Security
		theirs []string
	}{
		"their key is not admitted":      {zmq.CurveServer{Key: ours, Admit: func(zeromq.PublicKey) bool { return false }}, theirCurve(theirs, our)},
		"they know another server":       {zmq.CurveServer{Key: ours}, theirCurve(theirs, other)},
		"they have no CURVE":             {zmq.CurveServer{Key: ours}, nil},
		"we know another server":         {zmq.CurveClient{Server: other}, theirCurve(theirs)},
		"we have no CURVE":               {nil, theirCurve(theirs)},
		"both are servers":               {zmq.CurveServer{Key: ours}, theirCurve(theirs)},
		"they have another password":     {plain, []string{"plain", "ann", "coffee"}},
		"they have PLAIN, and we CURVE":  {zmq.CurveServer{Key: ours}, []string{"plain", "ann", "tea"}},
		"they have no PLAIN":             {plain, nil},
		"we have another password":       {zmq.PlainClient{User: "ann", Password: "coffee"}, []string{"plain"}},
		"we are somebody else":           {zmq.PlainClient{User: "bob", Password: "tea"}, []string{"plain"}},
		"we have no PLAIN":               {nil, []string{"plain"}},
		"both are servers of PLAIN":      {plain, []string{"plain"}},
		"they want CURVE, and we PLAIN":  {zmq.PlainClient{User: "ann", Password: "tea"}, theirCurve(theirs)},
		"both are clients of PLAIN":      {zmq.PlainClient{User: "ann", Password: "tea"}, []string{"plain", "ann", "tea"}},
		"we have CURVE, and they PLAIN":  {zmq.CurveClient{Server: other}, []string{"plain"}},
		"both are clients of one server": {zmq.CurveClient{Server: other}, theirCurve(theirs, other)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // where both wait, it takes a time-out
			events := make(chan zmq.Event, 100)
			s := open(t, zmq.PULL, zmq.Options{Security: c.ours, Monitor: func(e zmq.Event) {
				select {
				case events <- e:
				default:
				}
			}})
			p := py.open(t, append([]string{"PUSH", "send", "bind", "tcp://127.0.0.1:*", ""}, c.theirs...)...)
			dial(t, s, p.boundAt(t))
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
