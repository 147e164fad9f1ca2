package hub

import (
	"errors"
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
