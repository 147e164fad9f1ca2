package hub

import (
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// targetModel says who is where, and what everybody should have got.
type targetModel struct {
	clients []*fakeConn
	nodes   []int // of each client
	rooms   []map[string]bool
	got     [][]string
}

// addressed lists the clients that a target reaches.
func (m *targetModel) addressed(rooms, except []string, from int, local int) (out []int) {
	in := func(i int, names []string) bool {
		return slices.ContainsFunc(names, func(name string) bool { return m.rooms[i][name] || m.clients[i].session.ID() == name })
	}
	for i := range m.clients {
		switch {
		case i == from || local >= 0 && m.nodes[i] != local:
		case len(rooms) > 0 && !in(i, rooms) || in(i, except):
		default:
			out = append(out, i)
		}
	}
	return out
}

// TestTargetsReachWhomTheySay draws joins, leaves, messages, questions and lists at random, on two nodes with two
// loops each, and compares with plain sets. Each operation ends before the next begins.
func TestTargetsReachWhomTheySay(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		var cluster Cluster
		var hubs []*Hub
		for i := range 2 {
			h := newTestHub(t, Options{Loops: 2, Adapter: cluster.Adapter(), Node: fmt.Sprint("n", i)})
			mustHandle(t, h, "/", chatter)
			hubs = append(hubs, h)
			defer h.Close()
		}
		m := new(targetModel)
		for i := range rapid.IntRange(1, 6).Draw(rt, "clients") {
			c := newFakeConn(hubs[i%2], i/2%2)
			c.onSend = func(f *Frame) {
				if msg := f.Message(); msg.Ack != NoAck {
					c.loop.Post(func() { c.session.DeliverAck(msg.Ack, Payload{JSON: []byte(`["yes"]`)}) })
				}
			}
			c.connect(t, "/", "{}")
			m.clients, m.nodes = append(m.clients, c), append(m.nodes, i%2)
			m.rooms, m.got = append(m.rooms, map[string]bool{}), append(m.got, nil)
		}
		// flush returns when all that was sent before has arrived.
		flush := func() {
			for _, h := range hubs {
				for _, l := range h.Loops().All() {
					done := make(chan struct{})
					l.Post(func() { close(done) })
					<-done
				}
			}
		}
		names := []string{"a", "b", "c"}
		for _, c := range m.clients {
			names = append(names, c.session.ID())
		}
		some := func(what string, most int) []string {
			return rapid.SliceOfNDistinct(rapid.SampledFrom(names), 0, most, rapid.ID).Draw(rt, what)
		}
		for n := range rapid.IntRange(1, 30).Draw(rt, "steps") {
			node := rapid.IntRange(0, 1).Draw(rt, "node")
			rooms, except := some("rooms", 3), some("except", 2)
			from, local := -1, -1
			target := hubs[node].To(rooms...)
			if rapid.Bool().Draw(rt, "by a session") {
				from = rapid.IntRange(0, len(m.clients)-1).Draw(rt, "from")
				node = m.nodes[from]
				m.clients[from].on(func(s *Session) { target = s.To(rooms...) })
			}
			target = target.Except(except...).Within(20 * time.Second)
			if rapid.Bool().Draw(rt, "local") {
				target, local = target.Local(), node
			}
			reached := m.addressed(rooms, except, from, local)
			room := rapid.SampledFrom(names[:3]).Draw(rt, "room")
			event := fmt.Sprintf("e%d", n)
			switch rapid.SampledFrom([]string{"emit", "ask", "join", "leave", "list"}).Draw(rt, "what") {
			case "emit":
				if err := target.Emit(event); err != nil {
					rt.Fatal(err)
				}
				for _, i := range reached {
					m.got[i] = append(m.got[i], `["`+event+`"]`)
				}
			case "ask":
				answers, err := target.Ask(event)
				if err != nil {
					rt.Fatal(err)
				}
				var who []string
				for _, a := range answers {
					who = append(who, a.Session)
				}
				m.compare(rt, "answered", who, reached)
				for _, i := range reached {
					m.got[i] = append(m.got[i], `["`+event+`"]`)
				}
			case "join":
				if err := target.Join(room); err != nil {
					rt.Fatal(err)
				}
				for _, i := range reached {
					m.rooms[i][room] = true
				}
			case "leave":
				target.Leave(room)
				for _, i := range reached {
					delete(m.rooms[i], room)
				}
			case "list":
				snaps, err := target.Sessions()
				if err != nil {
					rt.Fatal(err)
				}
				m.compare(rt, "listed", ids(snaps), reached)
				for _, s := range snaps {
					i := slices.IndexFunc(m.clients, func(c *fakeConn) bool { return c.session.ID() == s.ID })
					if want := slices.Sorted(maps.Keys(m.rooms[i])); !slices.Equal(slices.Sorted(slices.Values(s.Rooms)), want) {
						rt.Fatalf("%d is said to be in %q, is in %q", i, s.Rooms, want)
					}
				}
			}
			flush()
		}
		for i, c := range m.clients {
			if got := c.events(); !slices.Equal(got, m.got[i]) {
				rt.Fatalf("%d got %q, want %q", i, got, m.got[i])
			}
			if n := c.pendingAsks(); n != 0 {
				rt.Fatalf("%d owes %d answers", i, n)
			}
		}
	})
}

func (m *targetModel) compare(rt *rapid.T, what string, got []string, reached []int) {
	rt.Helper()
	var want []string
	for _, i := range reached {
		want = append(want, m.clients[i].session.ID())
	}
	slices.Sort(got)
	slices.Sort(want)
	if !slices.Equal(got, want) {
		rt.Fatalf("%s: %q, want %q", what, got, want)
	}
}
