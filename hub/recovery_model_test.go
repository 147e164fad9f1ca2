package hub

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// A client that is cut off anywhere, again and again, gets every message that is for it exactly once, and
// those of one sender in the order in which they were sent.
func TestCutsLoseNothing(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		m := &cutModel{tb: t, h: recoveryHub(t, Options{Loops: 2}, Recovery{}, stays), in: map[string]bool{}, next: map[string]int{}}
		m.client = come(t, m.h, 0, "/", "", "")
		m.client.on(func(s *Session) { _ = s.Emit("hello") })
		_, m.offset = m.client.ticketOf()
		m.taken = len(m.client.events())
		rt.Repeat(map[string]func(*rapid.T){
			"move":  m.move,
			"burst": m.burst,
			"cut":   func(rt *rapid.T) { m.cut(rt, true) },
			"seize": func(rt *rapid.T) { m.cut(rt, false) }, // the server does not notice the cut
		})
		settled(m.h)
		m.take(len(m.client.events()))
		m.check(rt)
		if err := m.h.Close(); err != nil {
			rt.Error(err)
		}
	})
}

// cutModel is one client, what it has got, and what it should have got.
type cutModel struct {
	tb     testing.TB
	h      *Hub
	client *comer
	taken  int    // of the client's list, that much has reached it
	offset string // that it knows

	in     map[string]bool // rooms
	next   map[string]int  // by sender: its next number
	got    []string
	wanted []string
}

var cutRooms = []string{"a", "b", "c"}

// move enters or leaves a room.
func (m *cutModel) move(rt *rapid.T) {
	room := rapid.SampledFrom(cutRooms).Draw(rt, "room")
	m.client.on(func(s *Session) {
		if m.in[room] {
			s.Leave(room)
		} else if err := s.Join(room); err != nil {
			rt.Fatal(err)
		}
	})
	m.in[room] = !m.in[room]
}

// burst has several goroutines and the session itself send at the same time.
func (m *cutModel) burst(rt *rapid.T) {
	var work sync.WaitGroup
	for _, sender := range []string{"x", "y"} {
		var sends []func()
		for range rapid.IntRange(0, 8).Draw(rt, "messages of "+sender) {
			sends = append(sends, m.send(rt, sender))
		}
		work.Go(func() {
			for _, send := range sends {
				send()
			}
		})
	}
	for range rapid.IntRange(0, 5).Draw(rt, "direct") {
		tag := m.tag("direct", true)
		m.client.on(func(s *Session) {
			if err := s.Emit(tag); err != nil {
				rt.Error(err)
			}
		})
	}
	work.Wait()
}

// tag names the next message of a sender.
func (m *cutModel) tag(sender string, wanted bool) string {
	n := m.next[sender]
	m.next[sender]++
	tag := sender + strconv.Itoa(n)
	if wanted {
		m.wanted = append(m.wanted, tag)
	}
	return tag
}

// send draws a message and returns what sends it.
func (m *cutModel) send(rt *rapid.T, sender string) func() {
	rooms := rapid.SliceOfNDistinct(rapid.SampledFrom(cutRooms), 0, 2, rapid.ID).Draw(rt, "rooms")
	reached := len(rooms) == 0 || slices.ContainsFunc(rooms, func(r string) bool { return m.in[r] })
	if rapid.IntRange(0, 3).Draw(rt, "to the client") == 0 {
		rooms, reached = append(rooms, m.client.session.ID()), true
	}
	to := m.h.To(rooms...)
	except := rapid.IntRange(0, 3).Draw(rt, "except") == 0
	if except {
		room := rapid.SampledFrom(cutRooms).Draw(rt, "but not")
		to, reached = to.Except(room), reached && !m.in[room]
	}
	tag := m.tag(sender, reached)
	if len(rooms) == 1 && cutRooms[0] == rooms[0] && !except {
		return func() {
			if _, err := m.h.Publish(Publication{Room: rooms[0], Event: tag}); err != nil {
				rt.Error(err)
			}
		}
	}
	return func() {
		if err := to.Emit(tag); err != nil {
			rt.Error(err)
		}
		if except { // who is in that room is looked at when the message arrives
			settled(m.h)
		}
	}
}

// cut ends the connection in front of what the client has not got yet, sends something meanwhile, and has it
// come back.
func (m *cutModel) cut(rt *rapid.T, noticed bool) {
	if rapid.Bool().Draw(rt, "all sent") {
		settled(m.h)
	}
	pid, _ := m.client.ticketOf()
	if noticed {
		m.client.leave("transport close")
	}
	m.take(rapid.IntRange(m.taken, len(m.client.events())).Draw(rt, "got"))
	for range rapid.IntRange(0, 4).Draw(rt, "meanwhile") {
		m.send(rt, "x")()
	}
	if noticed && rapid.Bool().Draw(rt, "moved") {
		room := rapid.SampledFrom(cutRooms).Draw(rt, "room")
		if to := m.h.To(m.client.session.ID()); m.in[room] {
			to.Leave(room)
		} else if err := to.Join(room); err != nil {
			rt.Fatal(err)
		}
		m.in[room] = !m.in[room]
		settled(m.h)
		m.send(rt, "x")()
	}
	old := m.client.session
	m.client = come(m.tb, m.h, rapid.IntRange(0, 1).Draw(rt, "loop"), "/", pid, m.offset)
	m.taken = 0
	if now := m.client.session; !now.Recovered() || now.ID() != old.ID() {
		rt.Fatalf("not recovered: %v", m.h.Counters())
	}
}

// take lets the first n things on the connection reach the client. Before it is told that it is connected,
// events do not count: an official client keeps them aside.
func (m *cutModel) take(n int) {
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
			m.got = append(m.got, tag)
		}
	}
	m.taken = n
}

func (m *cutModel) check(rt *rapid.T) {
	last := map[string]int{}
	for _, tag := range m.got {
		sender := strings.TrimRight(tag, "0123456789")
		n, err := strconv.Atoi(tag[len(sender):])
		if err != nil {
			rt.Fatal(err)
		}
		if before, ok := last[sender]; ok && n <= before {
			rt.Fatalf("%s after %s%d in %q", tag, sender, before, m.got)
		}
		last[sender] = n
	}
	got, want := slices.Sorted(slices.Values(m.got)), slices.Sorted(slices.Values(m.wanted))
	if !slices.Equal(got, want) {
		rt.Fatalf("got  %q\nwant %q", fmt.Sprint(got), fmt.Sprint(want))
	}
}
