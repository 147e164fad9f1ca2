package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// serveNothing is a handler that lets its sessions be.
func serveNothing(s *Session) error {
	for range s.Events() {
	}
	return nil
}

func TestIdentify(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2, Recovery: &Recovery{}})
	h.Of("/").Use(func(s *Session) error {
		for _, bad := range []string{"", "a\nb", "\xff", strings.Repeat("u", 250)} {
			if s.Identify(bad) == nil {
				t.Errorf("%.20q is a user", bad)
			}
		}
		if err := s.Identify("somebody else"); err != nil {
			return err
		}
		return s.Identify(strings.Trim(string(s.Handshake().Auth), `"`))
	})
	if err := h.Handle("/", Relay(RelayOptions{})); err != nil {
		t.Fatal(err)
	}
	users := map[string]int{"alice": 2, "bob": 1}
	var clients []*fakeConn
	for user, n := range users {
		for i := range n {
			c := connect(t, h, i%2, "/", `"`+user+`"`)
			c.call(t, 1, "join", "lobby")
			clients = append(clients, c)
		}
	}
	for user, n := range users {
		found, err := h.Of("/").User(user).Sessions()
		if err != nil || len(found) != n {
			t.Errorf("%d sessions of %s, %v", len(found), user, err)
		}
		for _, s := range found {
			if s.User() != user {
				t.Errorf("a session of %s is %q's", user, s.User())
			}
		}
	}
	if members, n := h.Of("/").Present("lobby", 2); n != 3 || len(members) != 2 || members[0].User == "" {
		t.Errorf("%d are present, %+v", n, members)
	}
	h.Of("/").User("alice").Disconnect("enough")
	for _, c := range clients {
		if user := strings.Trim(string(c.session.Handshake().Auth), `"`); user == "alice" {
			c.wait(t, "the end", func() bool { return c.state == "left" })
			c.loop.Post(func() {
				if c.session.User() != "alice" {
					t.Errorf("once gone, the user is %q", c.session.User())
				}
				c.change(func() { c.state = "looked at" })
			})
			c.wait(t, "a look", func() bool { return c.state == "looked at" })
		}
	}
	if found, err := h.To().Sessions(); err != nil || len(found) != 1 || found[0].User() != "bob" {
		t.Errorf("left are %v, %v", found, err)
	}
}

func TestPages(t *testing.T) {
	h := newTestHub(t, Options{Loops: 2})
	if err := h.Handle("/", serveNothing); err != nil {
		t.Fatal(err)
	}
	ns := h.Of("/")
	var ids, rooms []string
	for i := range 7 {
		c := connect(t, h, i%2, "/", "{}")
		ids = append(ids, c.session.ID())
	}
	if err := ns.To().Join("all"); err != nil {
		t.Fatal(err)
	}
	if _, err := ns.To().Sessions(); err != nil { // behind the join, on each loop
		t.Fatal(err)
	}
	for i := range 9 {
		room := fmt.Sprintf("r%d", i)
		rooms = append(rooms, room)
		if _, err := h.Publish(Publication{Room: room, Event: "e", Args: []any{i}}); err != nil {
			t.Fatal(err)
		}
	}
	slices.Sort(ids)
	for _, room := range []string{"all", ""} {
		var found []string
		for after := ""; ; {
			page, err := ns.SessionPage(room, after, 3)
			if err != nil {
				t.Fatal(err)
			}
			if len(page) == 0 {
				break
			}
			for _, s := range page {
				found = append(found, s.ID)
			}
			after = found[len(found)-1]
		}
		if !slices.Equal(found, ids) {
			t.Errorf("in %q: %v, want %v", room, found, ids)
		}
	}
	if page, err := ns.SessionPage("no such room", "", 3); err != nil || len(page) > 0 {
		t.Errorf("a room that is none has %v, %v", page, err)
	}
	var found []string
	for after := ""; ; {
		page := ns.RoomPage("r", after, 2, func(room string) bool { return room != "r3" })
		if len(page) == 0 {
			break
		}
		for _, r := range page {
			found = append(found, r.Name)
		}
		after = found[len(found)-1]
	}
	if want := slices.Concat(rooms[:3], rooms[4:]); !slices.Equal(found, want) {
		t.Errorf("rooms %v, want %v", found, want)
	}
	if page := ns.RoomPage("all", "", 2, nil); len(page) != 1 || page[0].Members != 7 {
		t.Errorf("%+v, want 7 members of all", page)
	}
	messages, complete := ns.History("r1", "", 10)
	if len(messages) != 1 || !complete {
		t.Errorf("history %v, %v", messages, complete)
	}
	if messages, complete = ns.History("none", "x-1", 10); len(messages) > 0 || complete {
		t.Errorf("history of nothing behind something: %v, %v", messages, complete)
	}
}

func TestFirsts(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		all := rapid.SliceOf(rapid.StringN(0, 2, -1)).Draw(t, "all")
		limit := rapid.IntRange(0, 5).Draw(t, "limit")
		f := firsts[string]{limit: limit, compare: strings.Compare}
		for _, v := range all {
			f.add(v)
		}
		slices.Sort(all)
		if want := all[:min(limit, len(all))]; !slices.Equal(f.list(), want) {
			t.Fatalf("%q, want %q", f.list(), want)
		}
	})
}
