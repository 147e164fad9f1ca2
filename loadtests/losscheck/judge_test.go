package losscheck

import (
	"testing"
	"time"
)

// told is a ledger with one publisher at node 0, and clients in its room at nodes 0 and 1.
func told() *Ledger {
	l := new(Ledger)
	l.Publisher(0)
	for node := range 2 {
		l.Client(0)
		l.Joined(node, l.Connected(node, node, false))
	}
	return l
}

func (l *Ledger) send(from, to int) {
	for n := from; n <= to; n++ {
		l.Sending(0, n, 0)
		l.Acked(0, n, 0)
	}
}

func (l *Ledger) gets(client int, numbers ...int) {
	for _, n := range numbers {
		l.Got(client, len(l.clients[client].conns)-1, 0, n)
	}
}

func (l *Ledger) inStream(numbers ...int) {
	for _, n := range numbers {
		l.Stream(0, n)
	}
}

// during is a fault in which messages 2 and 3 are sent, and after which client 0, who is with the publisher, has all.
func (l *Ledger) during(s Step, counted int) {
	l.send(1, 1)
	l.Begin(s, l.Sent())
	l.send(2, 3)
	l.End(counted)
	l.send(4, 4)
}

func TestJudge(t *testing.T) {
	freeze, kill0, kill1, split0 := Step{Fault: Freeze}, Step{Fault: Kill}, Step{Fault: Kill, Node: 1}, Step{Fault: Split}
	all := []int{1, 2, 3, 4}
	for _, c := range []struct {
		name    string
		promise Promise
		tell    func(l *Ledger)
		want    Verdict // without what was received
	}{
		{"nothing happens", PubSub, func(l *Ledger) { l.send(1, 4); l.gets(0, all...); l.gets(1, all...) }, Verdict{}},
		{"one is missing", PubSub, func(l *Ledger) { l.send(1, 4); l.gets(0, all...); l.gets(1, 1, 3, 4) }, Verdict{Lost: 1}},
		{"the last is missing", PubSub, func(l *Ledger) { l.send(1, 4); l.gets(0, all...); l.gets(1, 1, 2, 3) }, Verdict{Lost: 1}},
		{"one comes twice", PubSub, func(l *Ledger) { l.send(1, 4); l.gets(0, 1, 2, 2, 3, 4); l.gets(1, all...) }, Verdict{Doubled: 1}},
		{"two change places", PubSub, func(l *Ledger) { l.send(1, 4); l.gets(0, 1, 3, 2, 4); l.gets(1, all...) }, Verdict{Misordered: 1}},
		{"Redis costs the other node messages", PubSub, func(l *Ledger) {
			l.during(freeze, 2)
			l.gets(0, all...)
			l.gets(1, 1, 4)
		}, Verdict{ExcusedLost: 2}},
		{"Redis costs messages that nobody counts", PubSub, func(l *Ledger) {
			l.during(freeze, 0)
			l.gets(0, all...)
			l.gets(1, 1, 3, 4)
		}, Verdict{ExcusedLost: 1, Uncounted: 1}},
		{"Redis costs the same node messages", PubSub, func(l *Ledger) {
			l.during(freeze, 2)
			l.gets(0, 1, 3, 4)
			l.gets(1, all...)
		}, Verdict{Lost: 1}},
		{"one is missing behind a fault", PubSub, func(l *Ledger) {
			l.during(freeze, 2)
			l.gets(0, 1, 2, 3)
			l.gets(1, 1, 2, 3)
		}, Verdict{Lost: 2}},
		{"a cut node misses something", PubSub, func(l *Ledger) {
			l.during(Step{Fault: Split, Node: 1}, 1)
			l.gets(0, all...)
			l.gets(1, 1, 4)
		}, Verdict{ExcusedLost: 2}},
		{"a third node costs nothing", PubSub, func(l *Ledger) {
			l.during(Step{Fault: Split, Node: 2}, 1)
			l.gets(0, all...)
			l.gets(1, 1, 4)
		}, Verdict{Lost: 2}},
		{"another node is killed, and one is missing here", PubSub, func(l *Ledger) {
			l.during(kill1, 0)
			l.gets(0, 1, 2, 4)
			l.gets(1, 1)
			l.Joined(1, l.Connected(1, 0, false))
		}, Verdict{Lost: 2, ExcusedLost: 2, Anew: 1}}, // and the last one of those of client 1
		{"the publisher's node is killed", PubSub, func(l *Ledger) {
			l.during(kill0, 0)
			l.gets(0, all...)
			l.gets(1, 1, 2, 4)
		}, Verdict{ExcusedLost: 1}},
		{"who joins again has what is sent then", PubSub, func(l *Ledger) {
			l.send(1, 1)
			l.gets(1, 1)
			l.Begin(kill1, l.Sent())
			l.send(2, 2)
			l.Joined(1, l.Connected(1, 0, false))
			l.send(3, 4)
			l.End(0)
			l.gets(0, all...)
			l.gets(1, 4)
		}, Verdict{ExcusedLost: 1, Lost: 1, Anew: 1}},

		{"the stream: nothing happens", Streams, func(l *Ledger) {
			l.during(split0, 0)
			l.inStream(all...)
			l.gets(0, all...)
			l.gets(1, all...)
		}, Verdict{}},
		{"the stream: a fault is no excuse", Streams, func(l *Ledger) {
			l.during(split0, 2)
			l.inStream(all...)
			l.gets(0, all...)
			l.gets(1, 1, 4)
		}, Verdict{Lost: 2}},
		{"the stream: a session goes on", Streams, func(l *Ledger) {
			l.during(kill1, 0)
			l.inStream(all...)
			l.gets(0, all...)
			l.gets(1, 1)
			l.Connected(1, 0, true)
			l.gets(1, 2, 4)
		}, Verdict{Recovered: 1, Lost: 1}},
		{"the stream: a session is refused", Streams, func(l *Ledger) {
			l.during(kill1, 0)
			l.inStream(all...)
			l.gets(0, all...)
			l.gets(1, 1)
			l.Joined(1, l.Connected(1, 0, false))
		}, Verdict{Anew: 1, Refused: 1, ExcusedLost: 3}},
		{"the stream: a session brings something twice", Streams, func(l *Ledger) {
			l.during(kill1, 0)
			l.inStream(all...)
			l.gets(0, all...)
			l.gets(1, 1, 2)
			l.Connected(1, 0, true)
			l.gets(1, 2, 3, 4)
		}, Verdict{Recovered: 1, Doubled: 1}},
		{"the stream: what was answered is not there", Streams, func(l *Ledger) {
			l.during(freeze, 0)
			l.inStream(1, 2, 4)
			l.gets(0, all...)
			l.gets(1, 1, 2, 4)
		}, Verdict{Lost: 1}},
		{"the stream: a killed node takes an answered one along", Streams, func(l *Ledger) {
			l.during(kill0, 0)
			l.inStream(1, 2, 4)
			l.gets(0, 1, 2, 4)
			l.gets(1, 1, 2, 4)
		}, Verdict{Unpublished: 1}},
		{"a second node publishes it too", PubSub, func(l *Ledger) {
			l.during(kill1, 0)
			l.Sending(0, 3, 1)
			l.gets(0, all...)
			l.gets(1, 1, 2, 3, 3, 4)
		}, Verdict{Doubled: 1}},
		{"a second node publishes it too, while Redis is away", PubSub, func(l *Ledger) {
			l.during(freeze, 1)
			l.Sending(0, 3, 1)
			l.gets(0, all...)
			l.gets(1, 1, 2, 3, 3, 4)
		}, Verdict{ExcusedDouble: 1}},
		{"a second node publishes it too, while another one is cut off", PubSub, func(l *Ledger) {
			l.during(split0, 1)
			l.Sending(0, 3, 1)
			l.gets(0, 1, 2, 3, 3, 4)
			l.gets(1, 1, 2, 3, 3, 4)
		}, Verdict{ExcusedDouble: 1, Doubled: 1}},
		{"the second node has answered, the first was killed", PubSub, func(l *Ledger) {
			l.during(kill0, 0)
			l.Sending(0, 3, 1)
			l.Acked(0, 3, 1)
			l.gets(0, 1, 2)
			l.Joined(0, l.Connected(0, 1, false))
			l.gets(0, 4)
			l.gets(1, 1, 4)
		}, Verdict{Anew: 1, ExcusedLost: 2, Lost: 1}},
		{"Redis comes back empty, and two nodes take one for new", PubSub, func(l *Ledger) {
			l.during(Step{Fault: Empty}, 1)
			l.Sending(0, 3, 1)
			l.gets(0, 1, 2, 3, 3, 4)
			l.gets(1, all...)
		}, Verdict{ExcusedDouble: 1}},
		{"the stream comes back empty: who stayed misses what it had", Streams, func(l *Ledger) {
			l.during(Step{Fault: Empty}, 1)
			l.inStream(1, 3, 4)
			l.gets(0, all...)
			l.gets(1, 1, 3, 4)
		}, Verdict{ExcusedLost: 1, Unpublished: 1}},
		{"the stream comes back empty: who comes back is told that it has missed nothing", Streams, func(l *Ledger) {
			l.during(Step{Fault: Empty}, 1)
			l.inStream(1, 3, 4)
			l.gets(0, all...)
			l.gets(1, 1)
			l.Connected(1, 0, true)
			l.gets(1, 3, 4)
		}, Verdict{Recovered: 1, Lost: 1, Unpublished: 1}},
		{"the stream comes back empty: who comes back begins anew", Streams, func(l *Ledger) {
			l.send(1, 1)
			l.Begin(Step{Fault: Empty}, l.Sent())
			l.send(2, 3)
			l.gets(1, 1)
			l.Joined(1, l.Connected(1, 0, false))
			l.End(1)
			l.send(4, 4)
			l.inStream(1, 3, 4)
			l.gets(0, all...)
			l.gets(1, 4)
		}, Verdict{Anew: 1, ExcusedLost: 2, Unpublished: 1}},
		{"two nodes have no common order", PubSub, func(l *Ledger) {
			l.send(1, 1)
			l.Sending(0, 2, 0)
			l.Sending(0, 2, 1)
			l.Acked(0, 2, 1)
			l.send(3, 4)
			l.gets(0, all...)
			l.gets(1, 1, 3, 2, 4)
		}, Verdict{ExcusedOrder: 1}},
		{"the stream: two nodes have one order", Streams, func(l *Ledger) {
			l.send(1, 1)
			l.Sending(0, 2, 0)
			l.Sending(0, 2, 1)
			l.Acked(0, 2, 1)
			l.send(3, 4)
			l.inStream(1, 2, 3, 4)
			l.gets(0, all...)
			l.gets(1, 1, 3, 2, 4)
		}, Verdict{Misordered: 1, Shuffled: 1}},
		{"a publication has no answer", Streams, func(l *Ledger) {
			l.send(1, 1)
			l.Begin(Step{Fault: Roll}, l.Sent())
			l.Sending(0, 2, 0)
			l.End(0)
			l.send(3, 3)
			l.inStream(1, 2, 3)
			l.gets(0, 1, 2, 3)
			l.gets(1, 1, 2, 3)
		}, Verdict{Unanswered: 1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			l := told()
			c.tell(l)
			v := l.Judge(c.promise, l.Sent())
			if text := v.String(); v.OK() != (len(v.Notes) == 0) {
				t.Errorf("OK: %t, and it says %s", v.OK(), text)
			}
			got := *v
			got.Published, got.Expected, got.Received, got.Notes = 0, 0, 0, nil
			got.Answered, got.AtOnce, got.Retried = 0, 0, 0
			if got.same(&c.want) {
				return
			}
			t.Errorf("got  %v\nwant %v", v, &c.want)
		})
	}
}

func (v *Verdict) same(o *Verdict) bool { return v.String() == o.String() }

// What is behind a mark counts only if it was answered.
func TestBehind(t *testing.T) {
	l := told()
	l.send(1, 2)
	l.Sending(0, 3, 0)
	l.gets(0, 1, 2)
	l.gets(1, 1)
	if n, client, pub, _ := l.Behind(l.Sent()); n != 1 || client != 1 || pub != 0 {
		t.Errorf("%d behind, client %d and publisher %d", n, client, pub)
	}
	l.gets(1, 2)
	if n, _, _, have := l.Behind(l.Sent()); n != 0 || have[0] != 2 {
		t.Errorf("%d behind, all have %v: a message without an answer counts", n, have)
	}
}

// A plan follows from its seed.
func TestPlan(t *testing.T) {
	plan := func(seed uint64) string { return Describe(Plan(seed, 2, 3, time.Second, Kill, Freeze, Split)) }
	if a, b := plan(1), plan(1); a != b {
		t.Errorf("one seed, two plans:\n%s\n%s", a, b)
	}
	if a, b := plan(1), plan(2); a == b {
		t.Errorf("two seeds, one plan: %s", a)
	}
}
