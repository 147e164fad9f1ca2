package hub

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// What was told while messages were lost is told again: who has come and who has left, once, and nothing else.
func TestMissed(t *testing.T) {
	hubs, cluster := sharing(t, 2, Options{}, nil)
	ann, bob := Sender{ID: "ann", Name: "Ann"}, Sender{ID: "bob", Name: "Bob"}
	keep := func(joined, left []*Sender) { // and tells nobody
		cluster.rooms.keep("n0", &NodeRequest{Namespace: "/", Keep: &Keep{Room: "lobby", Joined: joined, Left: left}})
	}
	keep([]*Sender{&ann}, nil)
	eve := connect(t, hubs[1], 0, "/", `{"name":"Eve"}`)
	eve.call(t, 1, "join", "lobby", with("presence", true))
	late := connect(t, hubs[1], 1, "/", `{"name":"Late"}`)
	keep([]*Sender{&bob}, []*Sender{&ann})
	late.call(t, 1, "join", "lobby", with("presence", true)) // knows more than Eve, who is told all the same
	node{hubs[1]}.Missed()
	told := func(list, id string) int {
		n := 0
		for _, e := range eve.events() {
			if _, rest, ok := strings.Cut(e, `"`+list+`":[`); ok && strings.HasPrefix(e, `["presence"`) {
				if names, _, _ := strings.Cut(rest, "]"); strings.Contains(names, `"`+id+`"`) {
					n++
				}
			}
		}
		return n
	}
	eve.wait(t, "Bob", func() bool {
		return slices.ContainsFunc(eve.got, func(e string) bool { return strings.Contains(e, `"bob"`) && strings.Contains(e, `"left":[{"id":"ann"`) })
	})
	node{hubs[1]}.Missed()
	hubs[1].catch.wg.Wait()
	if hubs[1].Counters()["presence_caught_up"] != 1 {
		t.Errorf("counted %v", hubs[1].Counters())
	}
	if told("joined", "bob") != 1 || told("left", "ann") != 1 || told("joined", "ann") != 0 || told("left", "bob") != 0 {
		t.Errorf("told %q", eve.events())
	}
	eve.leave("transport close")
	late.leave("transport close")
	keep(nil, []*Sender{&bob})
	node{hubs[1]}.Missed() // nobody watches
	hubs[1].catch.wg.Wait()
}

// What cannot be announced is tried again after longer and longer times, at random within a factor of two.
func TestAnnouncementsBackOff(t *testing.T) {
	hubs, _ := sharing(t, 1, Options{}, nil)
	a := &hubs[0].announce
	n, u := roomName{"/", "r"}, &unannounced{changes: make(map[Sender]bool)}
	a.rooms = map[roomName]*unannounced{n: u}
	for _, want := range []time.Duration{1, 2, 4, 8, 8} {
		a.done(n, u, map[Sender]bool{{ID: "x"}: false}, errors.New("away"))
		a.mu.Lock()
		if a.failed != want*time.Second || a.retry == nil || !a.retry.Stop() {
			t.Errorf("waits %v, want %v s", a.failed, int(want))
		}
		a.retry = nil
		a.mu.Unlock()
	}
	a.done(n, u, map[Sender]bool{{ID: "x"}: false}, nil)
	if a.failed != 0 {
		t.Errorf("after a success %v", a.failed)
	}
	least, most := time.Hour, time.Duration(0)
	for range 1000 {
		d := announceWait(announceRetry)
		least, most = min(least, d), max(most, d)
	}
	if least < announceRetry/2 || most > announceRetry || most-least < announceRetry/4 {
		t.Errorf("waits between %v and %v", least, most)
	}
}

// One that comes back on another node is there before its old node says that it has left, and is not taken for gone.
func TestWhoMovesToAnotherNodeIsStillThere(t *testing.T) {
	h := newTestHub(t, Options{Node: "own", Adapter: new(Cluster).Adapter()})
	at := func(id, node string) *Sender { return &Sender{ID: id, Name: id, Node: node} }
	view := func(list ...*Sender) *RoomView {
		v := &RoomView{Count: len(list)}
		for _, s := range list {
			v.Members = append(v.Members, Present{*s, s.Node})
		}
		return v
	}
	names := func(list []*Sender) string {
		var out []string
		for _, s := range list {
			out = append(out, s.ID+"@"+s.Node)
		}
		return strings.Join(out, " ")
	}
	moves := presenceChange{Joined: []*Sender{at("x", "b")}, Left: []*Sender{at("x", "a")}}
	for _, c := range []struct {
		name         string
		known        *RoomView // to the watchers
		updates      []presenceChange
		view         *RoomView
		joined, left string
	}{
		{"moved while messages were lost", view(at("x", "a")), nil, view(at("x", "b")), "x@b", ""},
		{"moves while it is read", view(), []presenceChange{moves}, view(at("x", "a")), "x@b", ""},
		{"is on both while it is read", view(), []presenceChange{{Left: []*Sender{at("x", "a")}}}, view(at("x", "a"), at("x", "b")), "x@b", ""},
		{"leaves while it is read", view(at("x", "a")), []presenceChange{{Left: []*Sender{at("x", "a")}}}, view(at("x", "a")), "", "x@a"},
		{"leaves, nobody knows from where", view(at("x", "a")), []presenceChange{{Left: []*Sender{at("x", "")}}}, view(at("x", "a")), "", "x@a"},
		{"nothing is known at first", nil, nil, view(at("x", "a"), at("y", "own")), "x@a", ""},
		{"not all are listed", view(at("y", "a")), nil, &RoomView{Members: view(at("x", "a")).Members, Count: 2}, "x@a", ""},
	} {
		r := &Room{ns: h.Of("/"), name: "r", updates: c.updates}
		if c.known != nil {
			r.others = make(map[string]*Sender)
			for i := range c.known.Members {
				r.others[c.known.Members[i].ID] = &c.known.Members[i].Sender
			}
		}
		joined, left := r.differencesLocked(c.view)
		if names(joined) != c.joined || names(left) != c.left {
			t.Errorf("%s: joined %q, left %q", c.name, names(joined), names(left))
		}
		if again, gone := r.differencesLocked(c.view); len(again)+len(gone) > 0 { // now it is known
			t.Errorf("%s: once more joined %q, left %q", c.name, names(again), names(gone))
		}
	}
	r := &Room{ns: h.Of("/"), name: "r", others: map[string]*Sender{"x": at("x", "a")}}
	r.toldLocked(&presenceChange{Joined: moves.Joined})
	r.toldLocked(&presenceChange{Left: moves.Left})
	if r.others["x"] == nil {
		t.Error("it is taken for gone")
	}
	r.toldLocked(&presenceChange{Left: []*Sender{at("x", "")}})
	if r.others["x"] != nil {
		t.Error("it is taken for there")
	}
}

// A crowd is told in parts.
func TestMissedCrowd(t *testing.T) {
	hubs, cluster := sharing(t, 2, Options{}, nil)
	eve := connect(t, hubs[1], 0, "/", `{"name":"Eve"}`)
	eve.call(t, 1, "join", "lobby", with("presence", true))
	crowd := func(prefix string, n int) (list []*Sender) {
		for i := range n {
			list = append(list, &Sender{ID: fmt.Sprint(prefix, i)})
		}
		return list
	}
	first, second := crowd("a", maxAnnounced+20), crowd("b", maxAnnounced+30)
	var joined, left int
	seen := 0
	told := func() bool {
		for _, e := range eve.got[seen:] {
			var p []json.RawMessage
			var u presenceChange
			if err := json.Unmarshal([]byte(e), &p); err != nil || json.Unmarshal(p[1], &u) != nil {
				t.Fatal(e)
			}
			if len(u.Joined)+len(u.Left) > maxAnnounced {
				t.Errorf("%d at once", len(u.Joined)+len(u.Left))
			}
			joined, left = joined+len(u.Joined), left+len(u.Left)
		}
		seen = len(eve.got)
		return joined >= len(first)+len(second)+1 && left >= len(first) // Eve is one of them
	}
	for _, k := range []*Keep{{Room: "lobby", Joined: first}, {Room: "lobby", Joined: second, Left: first}} {
		cluster.rooms.keep("n0", &NodeRequest{Namespace: "/", Keep: k})
		node{hubs[1]}.Missed()
		hubs[1].catch.wg.Wait()
	}
	eve.wait(t, "all", told)
	if joined != len(first)+len(second)+1 || left != len(first) {
		t.Errorf("%d have joined, %d have left", joined, left)
	}
}
