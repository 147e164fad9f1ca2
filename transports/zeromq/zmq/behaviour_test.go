package zmq_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/transports/zeromq"
	"greenroom/transports/zeromq/zmq"
)

// Whatever the number of peers, PUSH gives each as many messages as any other while all have room, and DEALER too.
func TestRoundRobin(t *testing.T) {
	for _, types := range [][2]zmq.Type{{zmq.PUSH, zmq.PULL}, {zmq.DEALER, zmq.DEALER}} {
		n, each := 2+rand.IntN(4), 1+rand.IntN(20)
		s := open(t, types[0], zmq.Options{})
		at := listen(t, s, anyPort)
		var all []*zmq.Socket
		for range n {
			p := open(t, types[1], zmq.Options{})
			dial(t, p, at)
			all = append(all, p)
		}
		peers(t, s, n)
		for i := range n * each {
			send(t, s, fmt.Sprint(i))
		}
		seen := map[string]bool{}
		for _, p := range all {
			for range each {
				seen[recv(t, p)] = true
			}
			if _, err := p.TryRecv(); err != coop.ErrNotReady {
				t.Errorf("%s: more than a fair share of %d", types[0], each)
			}
		}
		if len(seen) != n*each {
			t.Errorf("%s: %d messages of %d", types[0], len(seen), n*each)
		}
	}
}

// A peer that has sent much does not keep Recv from those that have sent little: as long as all have something waiting,
// their turns come one after the other.
func TestFairQueueing(t *testing.T) {
	s := open(t, zmq.PULL, zmq.Options{})
	at := listen(t, s, anyPort)
	const n, most = 4, 50
	left, total := map[string]int{}, 0
	for i := range n {
		p := open(t, zmq.PUSH, zmq.Options{})
		dial(t, p, at)
		name := fmt.Sprint(i)
		left[name] = 1 + rand.IntN(most)
		total += left[name]
		for range left[name] {
			send(t, p, name)
		}
	}
	eventually(t, "all to have arrived", func() bool { return zmq.Waiting(s) == total })
	since := map[string]int{} // others' turns since this one's
	for range total {
		from := recv(t, s)
		for name := range left {
			if since[name]++; left[name] > 0 && since[name] > n {
				t.Fatalf("%s waits for %d turns", name, since[name])
			}
		}
		left[from]--
		since[from] = 0
	}
}

// PUSH waits without a peer, and when its peers have no room. What waits for Recv is bounded.
func TestPushWaits(t *testing.T) {
	s := open(t, zmq.PUSH, zmq.Options{SendHWM: 3})
	green(t, func(g *coop.Greenlet) error {
		wantErr(t, g.WithTimeout(time.Millisecond, func() error { return s.Send(g, []byte("x")) }), coop.ErrTimeout)
		killed := g.Spawn(func(g *coop.Greenlet) error { return s.Send(g, []byte("x")) })
		if err := g.Yield(); err != nil {
			return err
		}
		killed.Kill()
		killed.Join(g)
		wantErr(t, killed.Result(), coop.ErrKilled)
		return nil
	})
	r := open(t, zmq.PULL, zmq.Options{RecvHWM: 5})
	dial(t, r, listen(t, s, anyPort))
	peers(t, s, 1)
	big := make([]byte, 1<<20)
	sent := 0
	for ; ; sent++ { // until queues, and what the system keeps, are full
		ctx, cancel := context.WithTimeout(context.Background(), 200*time.Millisecond)
		err := s.SendContext(ctx, big)
		cancel()
		if err != nil {
			wantErr(t, err, context.DeadlineExceeded)
			break
		}
	}
	if got := zmq.Waiting(r); got > 5 {
		t.Errorf("%d messages wait for Recv", got)
	}
	for range sent {
		if _, err := r.RecvContext(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
	send(t, s, "again")
	expect(t, r, "again")
}

// Of many who wait for Recv one gets each message, and one that is killed takes none along.
func TestManyReceivers(t *testing.T) {
	s, r := pairOf(t, zmq.PUSH, zmq.Options{}, zmq.PULL, zmq.Options{})
	green(t, func(g *coop.Greenlet) error {
		const n = 200
		got := 0
		var all []*coop.Greenlet
		for range 8 {
			all = append(all, g.Spawn(func(g *coop.Greenlet) error {
				for {
					if _, err := r.Recv(g); err != nil {
						return err
					}
					got++
				}
			}))
		}
		for i := range n {
			if err := s.Send(g, []byte("x")); err != nil {
				return err
			}
			if i%40 == 0 {
				all[i/40].Kill()
			}
		}
		for got < n {
			if err := g.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		return coop.KillAll(g, all...)
	})
}

func TestSubscriptions(t *testing.T) {
	p := open(t, zmq.XPUB, zmq.Options{})
	at := listen(t, p, anyPort)
	a, b := open(t, zmq.SUB, zmq.Options{}), open(t, zmq.SUB, zmq.Options{})
	if err := a.Subscribe("room", "room1", "room1"); err != nil {
		t.Fatal(err)
	}
	dial(t, a, at)
	got := map[string]bool{recv(t, p): true, recv(t, p): true}
	if !got["\x01room"] || !got["\x01room1"] {
		t.Fatalf("subscriptions %v", got)
	}
	dial(t, b, at)
	if err := b.Subscribe("room1", "z"); err != nil {
		t.Fatal(err)
	}
	expect(t, p, "\x01z") // room1 is known
	send(t, p, "room1", "both")
	send(t, p, "other", "nobody")
	send(t, p, "room2", "a")
	expect(t, a, "room1|both") // once, though two of its topics fit
	expect(t, a, "room2|a")
	expect(t, b, "room1|both")
	if err := a.Unsubscribe("room1", "unknown"); err != nil { // one of two
		t.Fatal(err)
	}
	if err := b.Unsubscribe("z"); err != nil {
		t.Fatal(err)
	}
	expect(t, p, "\x00z")
	if err := b.CloseContext(patient(t)); err != nil {
		t.Fatal(err)
	}
	if err := a.Unsubscribe("room1", "room"); err != nil {
		t.Fatal(err)
	}
	last := map[string]bool{recv(t, p): true, recv(t, p): true}
	if !last["\x00room1"] || !last["\x00room"] {
		t.Fatalf("cancellations %v", last)
	}
}

// A subscriber that does not read loses messages, which are counted, and nobody else does.
func TestSlowSubscriber(t *testing.T) {
	p := open(t, zmq.PUB, zmq.Options{SendHWM: 10})
	at := listen(t, p, anyPort)
	slow, fast := open(t, zmq.SUB, zmq.Options{RecvHWM: 1}), open(t, zmq.SUB, zmq.Options{})
	for _, s := range []*zmq.Socket{slow, fast} {
		if err := s.Subscribe(fmt.Sprint("to ", s == fast), "all"); err != nil {
			t.Fatal(err)
		}
		dial(t, s, at)
	}
	eventually(t, "subscriptions", func() bool { return p.Stats().Topics == 3 })
	body := strings.Repeat("x", 100_000)
	for p.Stats().Dropped == 0 {
		send(t, p, "to false", body)
	}
	send(t, p, "all", "hello")
	expect(t, fast, "all|hello")
}

func TestRouter(t *testing.T) {
	r := open(t, zmq.ROUTER, zmq.Options{Mandatory: true})
	at := listen(t, r, anyPort)
	refused := make(chan error, 100)
	named := open(t, zmq.DEALER, zmq.Options{Identity: "bob"})
	dial(t, named, at)
	send(t, named, "hi")
	expect(t, r, "bob|hi")
	twin := open(t, zmq.DEALER, zmq.Options{Identity: "bob", Monitor: func(e zmq.Event) {
		if !e.Connected {
			select {
			case refused <- e.Err:
			default:
			}
		}
	}})
	dial(t, twin, at)
	<-refused
	anonymous := open(t, zmq.DEALER, zmq.Options{})
	dial(t, anonymous, at)
	send(t, anonymous, "who", "am I")
	m, err := r.RecvContext(patient(t))
	if err != nil || len(m[0]) != 5 || m[0][0] != 0 {
		t.Fatalf("%q, %v", m, err)
	}
	if err := r.SendContext(patient(t), m...); err != nil {
		t.Fatal(err)
	}
	expect(t, anonymous, "who|am I")
	send(t, r, "bob", "yes")
	expect(t, named, "yes")
	wantErr(t, r.SendContext(patient(t), frames("nobody", "x")...), zmq.ErrUnroutable)
	wantErr(t, r.SendContext(patient(t), frames("bob")...), zmq.ErrMessage)
}

func TestRouterDropsAndHandsOver(t *testing.T) {
	r := open(t, zmq.ROUTER, zmq.Options{Handover: true})
	at := listen(t, r, anyPort)
	send(t, r, "nobody", "x")
	if d := r.Stats().Dropped; d != 1 {
		t.Errorf("%d dropped", d)
	}
	first, err := zmq.New(zmq.DEALER, zmq.Options{Identity: "bob", RedialMin: time.Hour})
	if err != nil {
		t.Fatal(err)
	}
	defer first.CloseContext(patient(t))
	dial(t, first, at)
	send(t, first, "1")
	expect(t, r, "bob|1")
	second := open(t, zmq.DEALER, zmq.Options{Identity: "bob"})
	dial(t, second, at)
	send(t, second, "2")
	expect(t, r, "bob|2")
	send(t, r, "bob", "to the second")
	expect(t, second, "to the second")
}

func TestReqAlternates(t *testing.T) {
	rep, req := pairOf(t, zmq.REP, zmq.Options{}, zmq.REQ, zmq.Options{})
	ctx := patient(t)
	_, err := req.RecvContext(ctx)
	wantErr(t, err, zmq.ErrState)
	wantErr(t, rep.SendContext(ctx, []byte("x")), zmq.ErrState)
	send(t, req, "q", "")
	wantErr(t, req.SendContext(ctx, []byte("q2")), zmq.ErrState)
	expect(t, rep, "q|")
	_, err = rep.RecvContext(ctx)
	wantErr(t, err, zmq.ErrState)
	send(t, rep, "", "a")
	expect(t, req, "|a")
	send(t, req, "q3")
	expect(t, rep, "q3")
	if err := rep.CloseContext(ctx); err != nil {
		t.Fatal(err)
	}
	_, err = req.RecvContext(ctx)
	wantErr(t, err, zmq.ErrNoAnswer)
}

// An answer to a request that was given up is not taken for that of the next one.
func TestReqRelaxed(t *testing.T) {
	rep, req := pairOf(t, zmq.ROUTER, zmq.Options{}, zmq.REQ, zmq.Options{Relaxed: true})
	send(t, req, "1")
	send(t, req, "2")
	for range 2 {
		m, err := rep.RecvContext(patient(t))
		if err != nil {
			t.Fatal(err)
		}
		if err := rep.SendContext(patient(t), m...); err != nil {
			t.Fatal(err)
		}
	}
	expect(t, req, "2")
	if n := req.Stats().Ignored; n != 1 {
		t.Errorf("%d ignored", n)
	}
}

// A request goes to the next peer when its first is silent, and when that is gone.
func TestReqResends(t *testing.T) {
	req := open(t, zmq.REQ, zmq.Options{Resend: 20 * time.Millisecond})
	at := listen(t, req, anyPort)
	silent := open(t, zmq.REP, zmq.Options{})
	dial(t, silent, at)
	peers(t, req, 1)
	send(t, req, "q")
	expect(t, silent, "q")
	good := open(t, zmq.REP, zmq.Options{})
	dial(t, good, at)
	expect(t, good, "q")
	if err := silent.CloseContext(patient(t)); err != nil {
		t.Fatal(err)
	}
	send(t, good, "a")
	expect(t, req, "a")

	send(t, req, "q2")
	expect(t, good, "q2")
	if err := good.CloseContext(patient(t)); err != nil {
		t.Fatal(err)
	}
	third := open(t, zmq.REP, zmq.Options{})
	dial(t, third, at)
	expect(t, third, "q2")
	send(t, third, "a2")
	expect(t, req, "a2")
}

func TestPairIsExclusive(t *testing.T) {
	a, b := pairOf(t, zmq.PAIR, zmq.Options{}, zmq.PAIR, zmq.Options{})
	refused := make(chan struct{}, 100)
	c := open(t, zmq.PAIR, zmq.Options{Monitor: func(zmq.Event) {
		select {
		case refused <- struct{}{}:
		default:
		}
	}})
	dial(t, c, listen(t, a, anyPort))
	<-refused
	if n := a.Stats().Peers; n != 1 {
		t.Errorf("%d peers", n)
	}
	send(t, b, "hi")
	expect(t, a, "hi")
}

func TestDirections(t *testing.T) {
	ctx := patient(t)
	for _, typ := range []zmq.Type{zmq.PULL, zmq.SUB} {
		wantErr(t, open(t, typ, zmq.Options{}).SendContext(ctx, []byte("x")), zmq.ErrDirection)
	}
	for _, typ := range []zmq.Type{zmq.PUSH, zmq.PUB} {
		_, err := open(t, typ, zmq.Options{}).RecvContext(ctx)
		wantErr(t, err, zmq.ErrDirection)
	}
	wantErr(t, open(t, zmq.PULL, zmq.Options{}).Subscribe("x"), zmq.ErrDirection)
	wantErr(t, open(t, zmq.PAIR, zmq.Options{}).SendContext(ctx), zmq.ErrMessage)
}

// Closing lets peers take what was sent, ends those who wait, and comes to its end although its greenlet is killed.
func TestClose(t *testing.T) {
	s, r := pairOf(t, zmq.PUSH, zmq.Options{Linger: patience}, zmq.PULL, zmq.Options{})
	const n = 500
	for i := range n {
		send(t, s, fmt.Sprint(i))
	}
	closed := make(chan error, 1)
	go func() { closed <- s.CloseContext(patient(t)) }()
	for i := range n {
		expect(t, r, fmt.Sprint(i))
	}
	wantErr(t, <-closed, nil)
	wantErr(t, s.SendContext(patient(t), []byte("x")), coop.ErrClosed)
	wantErr(t, s.Dial(anyPort), zmq.ErrClosed)
	green(t, func(g *coop.Greenlet) error {
		waits := g.Spawn(func(g *coop.Greenlet) error {
			_, err := r.Recv(g)
			return err
		})
		killed := g.Spawn(func(g *coop.Greenlet) error {
			defer r.Close(g)
			return g.Sleep(coop.Forever)
		})
		if err := g.Yield(); err != nil {
			return err
		}
		killed.Kill()
		waits.Join(g)
		wantErr(t, waits.Result(), coop.ErrClosed)
		return nil
	})
}

func TestReconnects(t *testing.T) {
	sub := open(t, zmq.SUB, zmq.Options{})
	if err := sub.Subscribe("a"); err != nil {
		t.Fatal(err)
	}
	endpoint := "ipc://" + t.TempDir() + "/s"
	dial(t, sub, endpoint) // nobody is there yet
	for i := range 3 {
		p, err := zmq.New(zmq.XPUB, zmq.Options{})
		if err != nil {
			t.Fatal(err)
		}
		listen(t, p, endpoint)
		expect(t, p, "\x01a")
		send(t, p, "a", fmt.Sprint(i))
		expect(t, sub, fmt.Sprint("a|", i))
		if err := p.CloseContext(patient(t)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestCurve(t *testing.T) {
	server, err := zeromq.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	client, err := zeromq.NewSecretKey()
	if err != nil {
		t.Fatal(err)
	}
	rep, req := pairOf(t,
		zmq.REP, zmq.Options{Security: zmq.CurveServer{Key: server, Admit: func(k zeromq.PublicKey) bool { return k == client.Public() }}},
		zmq.REQ, zmq.Options{Security: zmq.CurveClient{Server: server.Public(), Key: client}, Identity: "me"})
	send(t, req, "secret")
	expect(t, rep, "secret")
	refused := make(chan struct{}, 100)
	other := open(t, zmq.REQ, zmq.Options{Security: zmq.CurveClient{Server: server.Public()}, Monitor: func(zmq.Event) {
		select {
		case refused <- struct{}{}:
		default:
		}
	}})
	dial(t, other, listen(t, rep, anyPort))
	<-refused
	if n := rep.Stats().Peers; n != 1 {
		t.Errorf("%d peers", n)
	}
}

// A peer that is busy, and so does not read, is not taken for dead by heartbeats; it is by those who expect answers.
func TestHeartbeats(t *testing.T) {
	beats := zmq.Options{Heartbeat: 5 * time.Millisecond, HeartbeatTimeout: patience}
	a, b := pairOf(t, zmq.PAIR, beats, zmq.PAIR, beats)
	for range 5 {
		send(t, a, "x")
		expect(t, b, "x")
	}
	stopped := beats
	stopped.RecvHWM, stopped.HeartbeatTimeout = 1, 20*time.Millisecond
	c, d := pairOf(t, zmq.PUSH, zmq.Options{}, zmq.PULL, stopped)
	for i := range 20 {
		send(t, c, fmt.Sprint(i))
	}
	eventually(t, "the peer to be held up", func() bool { return zmq.Waiting(d) == 1 })
	time.Sleep(100 * time.Millisecond) // what must not happen has no event
	for i := range 20 {
		expect(t, d, fmt.Sprint(i))
	}
}

func TestPoller(t *testing.T) {
	a, toA := pairOf(t, zmq.PULL, zmq.Options{}, zmq.PUSH, zmq.Options{})
	b, toB := pairOf(t, zmq.PAIR, zmq.Options{}, zmq.PAIR, zmq.Options{})
	out := open(t, zmq.PUSH, zmq.Options{})
	green(t, func(g *coop.Greenlet) error {
		var p zmq.Poller
		p.Add(a, zmq.In)
		p.Add(b, zmq.In)
		p.Add(out, zmq.Out)
		if ready, err := p.Poll(g, time.Millisecond); len(ready) > 0 || err != nil {
			t.Errorf("%v, %v", ready, err)
		}
		for _, to := range []struct{ send, ready *zmq.Socket }{{toA, a}, {toB, b}} {
			g.Spawn(func(g *coop.Greenlet) error { return to.send.Send(g, []byte("x")) })
			ready, err := p.Poll(g, coop.Forever)
			if err != nil || len(ready) != 1 || ready[0] != (zmq.Ready{Socket: to.ready, Events: zmq.In}) {
				t.Fatalf("%v, %v", ready, err)
			}
			if _, err := to.ready.TryRecv(); err != nil {
				t.Error(err)
			}
		}
		p.Add(b, zmq.In|zmq.Out)
		if ready, err := p.Poll(g, 0); err != nil || len(ready) != 1 || ready[0].Events != zmq.Out {
			t.Errorf("%v, %v", ready, err)
		}
		p.Remove(b)
		r := open(t, zmq.PULL, zmq.Options{})
		at, err := r.Listen(g, anyPort)
		if err != nil {
			return err
		}
		if err := out.Dial(at); err != nil {
			return err
		}
		if ready, err := p.Poll(g, coop.Forever); err != nil || len(ready) != 1 || ready[0].Socket != out {
			t.Errorf("%v, %v", ready, err)
		}
		p.Remove(out)
		killed := g.Spawn(func(g *coop.Greenlet) error { _, err := p.Poll(g, coop.Forever); return err })
		if err := g.Yield(); err != nil {
			return err
		}
		killed.Kill()
		killed.Join(g)
		wantErr(t, killed.Result(), coop.ErrKilled)
		return nil
	})
}

// A peer that has gone, of which something waits that nobody will receive, does not keep the socket from closing.
func TestCloseWithUnread(t *testing.T) {
	r, s := pairOf(t, zmq.XPUB, zmq.Options{}, zmq.SUB, zmq.Options{})
	if err := s.Subscribe("x"); err != nil {
		t.Fatal(err)
	}
	expect(t, r, "\x01x")
	if err := s.CloseContext(patient(t)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the cancellation", func() bool { return zmq.Waiting(r) == 1 })
}
