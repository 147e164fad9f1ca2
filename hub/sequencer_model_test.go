package hub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A client that wanders between nodes, which are cut off, hurry ahead, and are killed, gets every message that is for it
// exactly once, and those of one node in the order in which they were sent; or it gets a new session, which only happens
// when it had got what has no place in the order.
func TestWanderingLosesNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &orderModel{tb: t, o: &fakeOrder{}, in: map[string]bool{}, next: map[string]int{}}
		for range 3 {
			m.join()
		}
		m.begin(rt)
		rt.Repeat(map[string]func(*rapid.T){
			"send":  m.send,
			"write": func(rt *rapid.T) { m.any(rt).write(rapid.IntRange(1, 4).Draw(rt, "n")) },
			"read":  func(rt *rapid.T) { m.any(rt).readOn(rapid.IntRange(1, 6).Draw(rt, "n")) },
			"hurry": func(rt *rapid.T) { m.any(rt).hurry() },
			"move":  m.move,
			"cut":   m.cut,
			"kill":  m.kill,
		})
		m.o.calm()
		m.take(len(m.client.events()))
		m.check(rt)
		for _, q := range m.o.nodes {
			if err := q.hub.Close(); err != nil {
				rt.Error(err)
			}
		}
	})
}

type orderModel struct {
	tb     testing.TB
	o      *fakeOrder
	joined int
	live   []*fakeSequencer

	client *comer
	node   *fakeSequencer // where it is
	taken  int
	offset string

	in     map[string]bool
	next   map[string]int
	got    []string
	wanted []string
}

func (m *orderModel) join() {
	m.joined++
	q := m.o.join(m.tb, fmt.Sprint("n", m.joined), Options{Loops: 1, Recovery: &Recovery{}}, stays)
	m.live = append(m.live, q)
}

func (m *orderModel) any(rt *rapid.T) *fakeSequencer {
	return rapid.SampledFrom(m.live).Draw(rt, "node")
}

// begin brings in a client that has not been there.
func (m *orderModel) begin(rt *rapid.T) {
	m.o.calm()
	m.node = m.live[0]
	m.client = come(m.tb, m.node.hub, 0, "/", "", "")
	m.client.on(func(s *Session) { _ = s.Emit("hello") })
	m.o.calm()
	_, m.offset = m.client.ticketOf()
	m.taken = len(m.client.events())
	m.got, m.wanted = nil, nil
	clear(m.in)
}

func (m *orderModel) move(rt *rapid.T) {
	m.o.calm()
	m.take(len(m.client.events()))
	room := rapid.SampledFrom(cutRooms).Draw(rt, "room")
	m.client.on(func(s *Session) {
		if m.in[room] {
			s.Leave(room)
		} else if err := s.Join(room); err != nil {
			rt.Fatal(err)
		}
	})
	m.in[room] = !m.in[room]
	m.o.calm()
	// Another node knows in which rooms it is, not since when: what is behind the client's offset must be behind the move.
	m.client.on(func(s *Session) { _ = s.Emit("hello") })
	m.o.calm()
	m.take(len(m.client.events()))
}

func (m *orderModel) send(rt *rapid.T) {
	q := m.any(rt)
	for range rapid.IntRange(1, 4).Draw(rt, "messages") {
		rooms := rapid.SliceOfNDistinct(rapid.SampledFrom(cutRooms), 0, 2, rapid.ID).Draw(rt, "rooms")
		reached := len(rooms) == 0 || slices.ContainsFunc(rooms, func(r string) bool { return m.in[r] })
		if rapid.IntRange(0, 3).Draw(rt, "to the client") == 0 {
			rooms, reached = append(rooms, m.client.session.ID()), true
		}
		to := q.hub.To(rooms...)
		if rapid.IntRange(0, 3).Draw(rt, "except") == 0 {
			room := rapid.SampledFrom(cutRooms).Draw(rt, "but not")
			to, reached = to.Except(room), reached && !m.in[room]
		}
		tag := q.name + "." + strconv.Itoa(m.next[q.name])
		m.next[q.name]++
		if reached {
			m.wanted = append(m.wanted, tag)
		}
		if err := to.Emit(tag); err != nil {
			rt.Fatal(err)
		}
	}
}

// cut breaks the client's connection, and has it come back somewhere.
func (m *orderModel) cut(rt *rapid.T) {
	settled(m.node.hub)
	pid, _ := m.client.ticketOf()
	m.take(rapid.IntRange(m.taken, len(m.client.events())).Draw(rt, "got"))
	if rapid.Bool().Draw(rt, "noticed") {
		m.client.leave("transport close")
		settled(m.node.hub)
	}
	if rapid.Bool().Draw(rt, "meanwhile") {
		m.send(rt)
	}
	m.comeBack(rt, pid)
}

// kill ends a node without a word.
func (m *orderModel) kill(rt *rapid.T) {
	q := m.any(rt)
	if q == m.node {
		settled(q.hub)
		m.take(rapid.IntRange(m.taken, len(m.client.events())).Draw(rt, "got"))
	}
	m.o.mu.Lock()
	q.dead = true
	for _, p := range q.queue[q.written:] { // nobody will ever hear of those
		tag := p.r.ordered
		if tag == nil || tag.message == nil {
			continue
		}
		if i := slices.Index(m.wanted, tag.message.Event); i >= 0 && !slices.Contains(m.got, m.wanted[i]) {
			m.wanted = slices.Delete(m.wanted, i, i+1)
		}
	}
	m.o.mu.Unlock()
	m.live = slices.DeleteFunc(m.live, func(x *fakeSequencer) bool { return x == q })
	m.join()
	if q == m.node {
		pid, _ := m.client.ticketOf()
		m.comeBack(rt, pid)
	}
	if err := q.hub.Close(); err != nil { // nobody hears of it, but its descriptors are free
		rt.Error(err)
	}
}

func (m *orderModel) comeBack(rt *rapid.T, pid string) {
	old := m.client.session
	m.node = m.any(rt)
	if at, ok := ParseOffset(m.offset); ok { // the node catches up first, see TestANodeThatIsBehindCatchesUpFirst
		upto := m.o.savedNow()[pid].Upto
		for (m.node.last.Compare(at.Place) < 0 || m.node.last.Compare(upto) < 0) && m.node.readOn(1) > 0 {
		}
	}
	m.client = come(m.tb, m.node.hub, 0, "/", pid, m.offset)
	m.taken = 0
	now := m.client.session
	switch {
	case now.Recovered() && now.ID() == old.ID():
	case strings.Contains(m.offset, "+"):
		m.begin(rt)
	default:
		rt.Fatalf("not recovered at %s: %v", m.offset, m.node.hub.Counters())
	}
}

// take is that of cutModel.
func (m *orderModel) take(n int) {
	c := m.client
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.had != "" && !slices.Contains(c.got[:n], "accepted") {
		return
	}
	for i := m.taken; i < n; i++ {
		if c.offsets[i] != "" {
			m.offset = c.offsets[i]
			tag, _, _ := strings.Cut(strings.TrimPrefix(c.got[i], `["`), `"`)
			if tag != "hello" {
				m.got = append(m.got, tag)
			}
		}
	}
	m.taken = n
}

func (m *orderModel) check(rt *rapid.T) {
	last := map[string]int{}
	for _, tag := range m.got {
		sender, number, _ := strings.Cut(tag, ".")
		n, err := strconv.Atoi(number)
		if err != nil {
			rt.Fatal(err)
		}
		if before, ok := last[sender]; ok && n <= before {
			rt.Fatalf("%s after %s.%d in %q", tag, sender, before, m.got)
		}
		last[sender] = n
	}
	got, want := slices.Sorted(slices.Values(m.got)), slices.Sorted(slices.Values(m.wanted))
	if !slices.Equal(got, want) {
		rt.Fatalf("got  %q\nwant %q", got, want)
	}
}
