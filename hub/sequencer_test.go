package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

// ordered2 is two nodes with one order, and recovery.
func orderedNodes(t testing.TB, n int) (*fakeOrder, []*fakeSequencer) {
	o := &fakeOrder{}
	for i := range n {
		o.join(t, fmt.Sprint("n", i), Options{Loops: 2, Recovery: &Recovery{}}, stays)
	}
	return o, o.nodes
}

func TestOffsets(t *testing.T) {
	for text, want := range map[string]Offset{
		"1795520204714-0":        {Place: Place{1795520204714, 0}},
		"0-1":                    {Place: Place{0, 1}},
		"1-2+3f2a.17":            {Place{1, 2}, "3f2a", 17},
		"1-18446744073709551615": {Place: Place{1, 1<<64 - 1}},
		"":                       {}, "1": {}, "-": {}, "1-": {}, "-1": {}, "01-2": {}, "1-2-3": {}, "1-2+": {}, "1-2+a": {},
		"1-2+a.": {}, "1-2+.3": {}, "1-2+a.0": {}, "1-2+a.03": {}, "1-2+a.x": {}, " 1-2": {}, "+1-2": {},
		"1-18446744073709551616": {}, "1-2+" + strings.Repeat("a", 65) + ".1": {},
	} {
		got, ok := ParseOffset(text)
		if valid := want != (Offset{}); ok != valid || ok && (got != want || got.String() != text) {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	if a, b := (Place{5, 1<<64 - 1}), (Place{6, 0}); a.Next() != b || a.Compare(b) != -1 || b.Compare(a) != 1 || (Place{5, 1}).Next() != (Place{5, 2}) {
		t.Error("places are out of order")
	}
}

// All nodes deliver everything in one order, whoever sends.
func TestOneOrderForAllNodes(t *testing.T) {
	o := &fakeOrder{}
	var clients []*comer
	for i := range 3 {
		q := o.join(t, fmt.Sprint("n", i), Options{Loops: 2}, stays)
		clients = append(clients, come(t, q.hub, 0, "/", "", ""))
		clients[i].on(func(s *Session) { _ = s.Join("r") })
	}
	for i := range 30 {
		h := o.nodes[i%3].hub
		emit(t, h.To("r"), "e", i)
		if i%5 == 0 {
			if _, err := h.Publish(Publication{Room: "r", Event: "p", Args: []any{i}}); err != nil {
				t.Fatal(err)
			}
		}
		if i%4 == 1 {
			o.nodes[(i/4)%3].write(2)
		}
	}
	for _, c := range clients {
		if n := len(c.events()); n > 1 {
			t.Errorf("%d events before they have a place", n-1)
		}
	}
	o.calm()
	bare := func(c *comer) (list []string) {
		for _, e := range c.events()[1:] {
			list = append(list, e[:min(len(e), 7)])
		}
		return list
	}
	for _, c := range clients {
		if got := bare(c); len(got) != 36 || !slices.Equal(got, bare(clients[0])) {
			t.Errorf("%q\nis not %q", got, bare(clients[0]))
		}
	}
	// Joins have their place among the messages.
	emit(t, o.nodes[0].hub.To("new"), "too early")
	if err := o.nodes[0].hub.To("r").Join("new"); err != nil {
		t.Fatal(err)
	}
	o.calm()
	emit(t, o.nodes[1].hub.To("new"), "joined")
	o.nodes[1].hub.To("new").Leave("new")
	o.calm()
	emit(t, o.nodes[2].hub.To("new"), "too late")
	o.nodes[2].hub.To("r").Disconnect("enough")
	o.calm()
	for _, c := range clients {
		if got := c.events(); !slices.Equal(got[len(got)-2:], []string{`["joined"]`, "left"}) {
			t.Errorf("got %q", got)
		}
	}
}

// What a client of one node has missed, another brings it.
func TestRecoveryOnAnotherNode(t *testing.T) {
	for name, how := range map[string]func(*testing.T, *fakeOrder, *comer){
		"noticed":   func(_ *testing.T, o *fakeOrder, a *comer) { a.leave("transport close"); o.calm() },
		"unnoticed": func(*testing.T, *fakeOrder, *comer) {},
		"killed":    func(_ *testing.T, o *fakeOrder, _ *comer) { o.nodes[0].dead = true },
	} {
		t.Run(name, func(t *testing.T) {
			o, nodes := orderedNodes(t, 3)
			a := come(t, nodes[0].hub, 0, "/", "", "")
			id := a.session.ID()
			a.on(func(s *Session) {
				s.SetData(map[string]any{"n": 1.0, "b": []byte{1, 2}})
				_ = errors.Join(s.Join("r"), s.Identify("me"), s.Emit("hello"), s.JoinPrefix("news."))
			})
			o.calm()
			pid, offset := a.ticketOf()
			a.wantGot(t, "accepted", `["hello"]`)
			emit(t, nodes[2].hub.To("r"), "lost on the way")
			o.calm()
			how(t, o, a)
			emit(t, nodes[1].hub.To("r"), "room", []byte{1})
			emit(t, nodes[1].hub.To("elsewhere"), "not mine")
			emit(t, nodes[2].hub.To(id), "me")
			emit(t, nodes[2].hub.To(), "all")
			emit(t, nodes[2].hub.To("r").Except("$user:me"), "not me")
			emit(t, nodes[2].hub.To("r").Volatile(), "volatile")
			emit(t, nodes[2].hub.To("news.x"), "prefix")
			o.calm()
			emit(t, nodes[1].hub.To("r"), "on its way")
			late := o.join(t, "late", Options{Loops: 2, Recovery: &Recovery{}}, stays)
			for i, q := range []*fakeSequencer{nodes[1], late} { // the log has it all, and nothing of it
				b := come(t, q.hub, 1, "/", pid, offset)
				b.wantGot(t, `["lost on the way"]`, `["room",{"_placeholder":true,"num":0}]`, `["me"]`, `["all"]`, `["prefix"]`, "accepted")
				if i == 0 {
					b.on(func(s *Session) {
						data, _ := s.Data.(map[string]any)
						if s.ID() != id || s.RecoveryID() != pid || !s.Recovered() || !s.In("r") || s.User() != "me" || data["n"] != 1.0 || string(data["b"].([]byte)) != "\x01\x02" {
							t.Errorf("id %s for %s, recovered %v, rooms %q, data %v", s.ID(), id, s.Recovered(), s.Rooms(), s.Data)
						}
					})
					b.leave("ping timeout") // without having got any of it
					settled(q.hub)
					continue
				}
				o.calm()
				b.wantGot(t, `["lost on the way"]`, `["room",{"_placeholder":true,"num":0}]`, `["me"]`, `["all"]`, `["prefix"]`, "accepted", `["on its way"]`)
			}
			if name == "unnoticed" {
				a.wait(t, "the end of the old session", func() bool { return a.state == "left" })
				a.on(func(s *Session) {
					if s.Reason() != ReasonReplaced {
						t.Errorf("the old session ended with %q", s.Reason())
					}
				})
			}
			settled(nodes[0].hub)
			if st := o.savedNow(); len(st) != 1 || !st[pid].Live || !slices.Contains(st[pid].Rooms, "r") {
				t.Errorf("saved: %+v", st)
			}
			if n := nodes[0].hub.Of("/").recovery; len(n.tickets) > 0 && name != "killed" {
				t.Errorf("the first node keeps %d tickets", len(n.tickets))
			}
		})
	}
}

// A client in a quiet room comes back although its offset is trimmed, because there was nothing else for it.
func TestRecoveryElsewhereAfterALongSilence(t *testing.T) {
	o, nodes := orderedNodes(t, 2)
	a := come(t, nodes[0].hub, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("quiet"), s.Emit("hello")) })
	o.calm()
	pid, offset := a.ticketOf()
	for range 10 {
		emit(t, nodes[1].hub.To("busy"), "noise")
	}
	o.calm()
	a.on(func(s *Session) { s.Touch() })
	o.calm()
	o.mu.Lock()
	o.from = o.entries[len(o.entries)-1].Place
	o.mu.Unlock()
	nodes[0].dead = true
	emit(t, nodes[1].hub.To("quiet"), "missed")
	late := o.join(t, "late", Options{Loops: 2, Recovery: &Recovery{}}, stays)
	o.calm()
	b := come(t, late.hub, 1, "/", pid, offset)
	b.wantGot(t, `["missed"]`, "accepted")
}

// Whatever is wrong, the client gets a new session, and a counter says why.
func TestRecoveryElsewhereFailsIntoANewSession(t *testing.T) {
	for name, c := range map[string]struct {
		before  func(o *fakeOrder, pid string, offset *string)
		counter string
	}{
		"it works":   {counter: "recovery_recovered"},
		"unknown":    {counter: "recovery_unknown_session", before: func(o *fakeOrder, pid string, _ *string) { delete(o.saved, pid) }},
		"bad offset": {counter: "recovery_bad_offset", before: func(_ *fakeOrder, _ string, offset *string) { *offset = "x" }},
		"trimmed":    {counter: "recovery_offset_lost", before: func(o *fakeOrder, _ string, _ *string) { o.from = Place{1 << 60, 0} }},
		"cut off":    {counter: "recovery_store_failed", before: func(o *fakeOrder, _ string, _ *string) { o.nodes[1].cut = true }},
		"ahead":      {counter: "recovery_ahead", before: func(_ *fakeOrder, _ string, offset *string) { *offset += "+n0.99" }},
		"other's":    {counter: "recovery_unknown_session", before: func(o *fakeOrder, pid string, _ *string) { edit(o, pid, func(s *SavedSession) { s.Namespace = "/x" }) }},
		"no id":      {counter: "recovery_bad_session", before: func(o *fakeOrder, pid string, _ *string) { edit(o, pid, func(s *SavedSession) { s.ID = "" }) }},
		"far too many": {counter: "recovery_bad_session", before: func(o *fakeOrder, pid string, _ *string) {
			edit(o, pid, func(s *SavedSession) { s.Rooms = make([]string, 9999) })
		}},
		"official": {counter: "recovery_recovered", before: func(o *fakeOrder, pid string, _ *string) {
			edit(o, pid, func(s *SavedSession) { *s = SavedSession{ID: s.ID, RecoveryID: pid, Rooms: s.Rooms} })
		}},
		"data not JSON": {counter: "recovery_bad_data", before: func(o *fakeOrder, pid string, _ *string) {
			edit(o, pid, func(s *SavedSession) { s.Data = Payload{JSON: []byte("[{]")} })
		}},
	} {
		t.Run(name, func(t *testing.T) {
			o, nodes := orderedNodes(t, 1)
			a := come(t, nodes[0].hub, 0, "/", "", "")
			a.on(func(s *Session) { _ = s.Emit("hello") })
			o.calm()
			pid, offset := a.ticketOf()
			a.leave("transport close")
			settled(nodes[0].hub)
			emit(t, nodes[0].hub.To(), "missed")
			o.calm()
			late := o.join(t, "late", Options{Loops: 2, Recovery: &Recovery{}}, stays)
			if c.before != nil {
				o.mu.Lock()
				c.before(o, pid, &offset)
				o.mu.Unlock()
			}
			b := come(t, late.hub, 1, "/", pid, offset)
			want := c.counter == "recovery_recovered" || c.counter == "recovery_bad_data"
			if b.session.Recovered() != want || late.hub.Counters()[c.counter] != 1 {
				t.Errorf("recovered %v, counted %v", b.session.Recovered(), late.hub.Counters())
			}
		})
	}
}

func edit(o *fakeOrder, pid string, fn func(*SavedSession)) {
	s := o.saved[pid]
	fn(&s)
	o.saved[pid] = s
}

// Many connections claim one session at once, on two nodes: one of them has it in the end.
func TestOneSessionClaimedOnTwoNodes(t *testing.T) {
	o, nodes := orderedNodes(t, 2)
	a := come(t, nodes[0].hub, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Emit("hello") })
	o.calm()
	pid, offset := a.ticketOf()
	var all []*comer
	for i := range 20 {
		c := &comer{fakeConn: newFakeConn(nodes[i%2].hub, i/2%2), h: nodes[i%2].hub}
		c.start("/", pid, offset)
		all = append(all, c)
	}
	recovered, live := 0, 0
	for _, c := range all {
		c.wait(t, "an answer", func() bool { return c.session != nil && c.state != "" })
	}
	o.calm()
	for _, c := range append(all, a) {
		c.on(func(s *Session) {
			if s.RecoveryID() == pid {
				recovered++
				if s.Connected() {
					live++
				}
			}
		})
	}
	if recovered < 2 || live > 1 {
		t.Errorf("%d recovered, %d have the session", recovered, live)
	}
}

// Middlewares decide on a session of another node, too.
func TestMiddlewaresDecideOnSessionsOfOtherNodes(t *testing.T) {
	o := &fakeOrder{}
	refuse := false
	for i := range 2 {
		q := o.join(t, fmt.Sprint("n", i), Options{Loops: 2, Recovery: &Recovery{RunMiddlewares: true}}, stays)
		q.hub.Of("/").Use(func(s *Session) error {
			if refuse {
				return errors.New("not now")
			}
			return s.Join("all")
		})
	}
	a := come(t, o.nodes[0].hub, 0, "/", "", "")
	a.on(func(s *Session) { _ = errors.Join(s.Join("r"), s.Emit("hello")) })
	o.calm()
	pid, offset := a.ticketOf()
	a.leave("transport close")
	emit(t, o.nodes[0].hub.To("r"), "missed")
	o.calm()
	refuse = true
	if c := come(t, o.nodes[1].hub, 0, "/", pid, offset); c.state != "refused" {
		t.Error(c.state)
	}
	settled(o.nodes[1].hub)
	refuse = false
	b := come(t, o.nodes[0].hub, 1, "/", pid, offset) // what was refused is there for others
	b.wantGot(t, `["missed"]`, "accepted")
	b.on(func(s *Session) {
		if !s.Recovered() || !s.In("all") || !s.In("r") {
			t.Errorf("recovered %v, in %q", s.Recovered(), s.Rooms())
		}
	})
}

// Publications have their ids at once, and their place in history when they have one in the order.
func TestPublicationsInOneOrder(t *testing.T) {
	o, nodes := orderedNodes(t, 2)
	h := nodes[0].hub
	a := come(t, h, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Join("r") })
	b := come(t, nodes[1].hub, 0, "/", "", "")
	b.on(func(s *Session) { _ = s.Join("r") })
	var ids []string
	for i := range 3 {
		id, err := h.Publish(Publication{Room: "r", Event: "p", Args: []any{i}, Retain: i == 1, ID: fmt.Sprint(i)})
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	if list, _ := h.History("/", "r", 9, ""); len(list) > 0 || len(h.Retained("/", "r", 9)) > 0 {
		t.Error("kept before they have a place")
	}
	o.calm()
	list, complete := h.History("/", "r", 9, ids[0])
	if len(list) != 2 || !complete || list[0].ID != ids[1] || list[1].ID != ids[2] {
		t.Errorf("history: %v %v of %q", list, complete, ids)
	}
	if kept := h.Retained("/", "r", 9); len(kept) != 1 || kept[0].ID != ids[1] {
		t.Errorf("retained: %v", kept)
	}
	for _, c := range []*comer{a, b} {
		var seen []string
		for _, e := range c.events()[1:] {
			var args []json.RawMessage
			var meta struct{ ID string }
			if err := errors.Join(json.Unmarshal([]byte(e), &args), json.Unmarshal(args[len(args)-1], &meta)); err != nil {
				t.Fatal(err)
			}
			seen = append(seen, meta.ID)
		}
		if !slices.Equal(seen, ids) {
			t.Errorf("got %q, want %q", seen, ids)
		}
	}
}

// A node that has not done yet what its new client has got elsewhere does that first, not once more for the client.
func TestANodeThatIsBehindCatchesUpFirst(t *testing.T) {
	o, nodes := orderedNodes(t, 2)
	a := come(t, nodes[0].hub, 0, "/", "", "")
	a.on(func(s *Session) { _ = s.Join("r") })
	o.calm()
	emit(t, nodes[0].hub.To("r"), "got")
	nodes[0].write(9)
	nodes[0].readOn(9)
	a.waitEvents(t, 2)
	pid, offset := a.ticketOf()
	a.leave("transport close")
	settled(nodes[0].hub)
	b := &comer{fakeConn: newFakeConn(nodes[1].hub, 0), h: nodes[1].hub, had: offset}
	b.start("/", pid, offset)
	settled(nodes[1].hub)
	if len(b.events()) > 0 {
		t.Errorf("let in already: %q", b.events())
	}
	nodes[1].readOn(9)
	b.wait(t, "the client to be let in", func() bool { return b.state == "accepted" })
	emit(t, nodes[1].hub.To("r"), "next")
	o.calm()
	b.wantGot(t, "accepted", `["next"]`)
	if n := len(nodes[1].hub.order.waiting); n > 0 || !b.session.Recovered() {
		t.Errorf("%d wait, recovered %v", n, b.session.Recovered())
	}
}
