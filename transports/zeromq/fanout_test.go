package zeromq

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"greenroom/hub"
)

// bridgedNodes are nodes of one cluster, each with its own endpoints and a member of room.
func bridgedNodes(t *testing.T, n int, fanout Fanout) (nodes []*crowd, bridges []*Bridge) {
	t.Helper()
	var cluster hub.Cluster
	for i := range n {
		c := newCrowd(t, hub.Options{Adapter: cluster.Adapter(), Node: fmt.Sprint("n", i)})
		c.join(t, "/", "room")
		nodes = append(nodes, c)
		bridges = append(bridges, listen(t, c.hub, Options{Pull: anyPort, PullFormat: Format{Fanout: fanout}, Pub: anyPort}))
	}
	return nodes, bridges
}

// A publication that comes in at one node goes out at all, once at each, and is the same everywhere; a local one at its
// own node alone.
func TestEgressOfACluster(t *testing.T) {
	_, bridges := bridgedNodes(t, 2, Cluster)
	p := push(t, bridges[0].Addr("pull"))
	subs := []*Subscription{subscribe(t, bridges[0], "room"), subscribe(t, bridges[1], "room")}
	const n = 5
	for i := range n {
		send(t, p, "room", "e", fmt.Sprint(i))
	}
	var got [2][]string
	for k, s := range subs {
		for range n {
			got[k] = append(got[k], receive(t, s))
		}
	}
	for i := range n {
		if got[0][i] != got[1][i] || strings.Count(got[0][i], `"epoch"`) != 1 {
			t.Errorf("at the first node %s, at the second %s", got[0][i], got[1][i])
		}
	}
	_, bridges = bridgedNodes(t, 2, Local)
	first, second := push(t, bridges[0].Addr("pull")), push(t, bridges[1].Addr("pull"))
	s := subscribe(t, bridges[1], "room")
	send(t, first, "room", "e", "elsewhere")
	if err := first.Close(); err != nil { // it has been read
		t.Fatal(err)
	}
	send(t, second, "room", "e", "here")
	if text := receive(t, s); !strings.HasPrefix(text, "room|e|here|") {
		t.Errorf("heard %s", text)
	}
}

// Two publishers send the same, each to its node, for one of them may fail: with an id of the publication's it counts
// once. Fed to each node locally it counts at each.
func TestTheSamePublicationAtTwoNodes(t *testing.T) {
	for _, fanout := range []Fanout{Cluster, Local} {
		nodes, bridges := bridgedNodes(t, 2, fanout)
		for i := range 10 {
			for _, b := range bridges {
				p := push(t, b.Addr("pull"))
				send(t, p, fmt.Sprintf(`{"room":"room","event":"e","data":1,"id":"p%d"}`, i))
				if err := p.Close(); err != nil {
					t.Fatal(err)
				}
			}
		}
		for i, c := range nodes {
			eventually(t, "the messages", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.heard["room"] >= 10 })
			if _, err := c.hub.Publish(hub.Publication{Room: "room", Event: "last", Local: true}); err != nil {
				t.Fatal(err)
			}
			eventually(t, "the last", func() bool { c.mu.Lock(); defer c.mu.Unlock(); return c.heard["room"] >= 11 })
			c.mu.Lock()
			if c.heard["room"] != 11 {
				t.Errorf("fan-out %d: node %d has heard %d messages, want 11", fanout, i, c.heard["room"])
			}
			c.mu.Unlock()
		}
	}
}

func TestControlKnowsTheCluster(t *testing.T) {
	var cluster hub.Cluster
	a := realHub(t, hub.Options{Adapter: cluster.Adapter(), Node: "a"})
	b := realHub(t, hub.Options{Adapter: cluster.Adapter(), Node: "b"})
	id, err := a.Publish(hub.Publication{Room: "r", Event: "e", Args: []any{1}})
	if err != nil {
		t.Fatal(err)
	}
	br := listen(t, b, Options{Control: anyPort})
	c := &control{bridge: br, hub: b}
	got, err := c.history(&controlCall{params: json.RawMessage(`{"room":"r"}`), peer: &peer{principal: anyone("")}})
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(got)
	if err != nil || !strings.Contains(string(raw), `"id":"`+id+`"`) || !strings.Contains(string(raw), `"complete":true`) {
		t.Errorf("history %s, %v", raw, err)
	}
}
