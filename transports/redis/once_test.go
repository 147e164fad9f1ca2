//go:build unix

package redis

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// A publisher that sends the same to another node, since the first one was cut off from Redis: who is at neither gets it
// once, although both nodes have taken it.
func TestPublishedByTwoNodes(t *testing.T) {
	t.Parallel()
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			p := newProxy(t, r.Addr)
			a, adapter := relayNode(t, "a", Options{URL: p.url(), Adapter: kind, Timeout: hasty.timeout, MessageAge: patience})
			b, _ := relayNode(t, "b", Options{URL: r.URL(), Adapter: kind})
			c, _ := relayNode(t, "c", Options{URL: r.URL(), Adapter: kind})
			ann, bo, cy := relayClient(t, a, `{}`), relayClient(t, b, `{}`), relayClient(t, c, `{}`)
			for _, client := range []*memoryClient{ann, bo, cy} {
				client.call(t, "join", "r")
			}
			publish := func(h *hub.Hub, what, id string) (string, error) {
				return h.Publish(hub.Publication{Room: "r", Event: "said", Args: []any{what}, ID: id})
			}
			must := func(h *hub.Hub, what, id string) {
				t.Helper()
				if _, err := publish(h, what, id); err != nil {
					t.Fatalf("%s: %v", what, err)
				}
			}
			heard := func(c *memoryClient, what string) int { return strings.Count(c.heard(), `"`+what+`"`) }
			await := func(c *memoryClient, what string) {
				t.Helper()
				within(t, what, func() bool { return heard(c, what) > 0 })
			}
			must(a, "before", "0")
			for _, c := range []*memoryClient{ann, bo, cy} {
				await(c, "before")
			}
			p.cut()
			within(t, "noticed", func() bool { return adapter.Ready() != nil })
			must(a, "twice", "1")
			await(ann, "twice")
			must(b, "twice", "1")
			must(b, "there", "2")
			await(cy, "there")
			p.heal()
			within(t, "ready", func() bool { return adapter.Ready() == nil })
			must(a, "after", "3")
			for _, c := range []*memoryClient{ann, bo, cy} {
				await(c, "after")
			}
			for name, client := range map[string]*memoryClient{"b": bo, "c": cy} {
				for _, what := range []string{"before", "twice", "there", "after"} {
					if n := heard(client, what); n != 1 {
						t.Errorf("%s: %q came %d times", name, what, n)
					}
				}
			}
			list, _ := c.History("/", "r", 9, "")
			kept := 0
			for _, m := range list {
				kept += strings.Count(string(m.Payload.JSON), `"twice"`)
			}
			if kept != 1 {
				t.Errorf("it was kept %d times", kept)
			}
			if a.Counters()[reasonPublished] != 1 {
				t.Errorf("counted: %v", a.Counters())
			}
			// From now on all know it.
			within(t, "the id is known", func() bool {
				_, err := publish(c, "twice", "1")
				return errors.Is(err, hub.ErrDuplicate)
			})
			if n := heard(cy, "twice"); n != 1 {
				t.Errorf("in the end it came %d times", n)
			}
		})
	}
}

// What is not kept, since another node has published it, leaves the mark of what is missing before it.
func TestAMarkOutlivesWhatIsNotKept(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL()})
	sent := publishN(t, h, 1, hub.Publication{})
	within(t, "the first", func() bool { ids, complete := historyIDs(h, sent[0]); return len(ids) == 0 && complete })
	a.rooms.noteGap("/,r")
	r.Do("SET", a.rooms.key("o", "/", "r")+","+digest("once"), "other-1")
	over := make(chan error, 1)
	a.rooms.keep("", "", nil, &hub.NodeRequest{Namespace: "/", Payload: hub.Payload{JSON: []byte(`["n"]`)}, Keep: &hub.Keep{
		Room: "r", ID: "x-1", Epoch: "x", Seq: 1, Once: "once", Window: patience, History: true,
		Limits: hub.HistoryLimits{Messages: 5, Bytes: 1000, TTL: patience}, Done: func(err error) { over <- err },
	}}, nil)
	if err := <-over; err != nil {
		t.Fatal(err)
	}
	if n := h.Counters()[reasonPublished]; n != 1 {
		t.Errorf("counted %d times", n)
	}
	last := publishN(t, h, 1, hub.Publication{})
	within(t, "the last", func() bool {
		ids, complete := historyIDs(h, sent[0])
		if len(ids) > 0 && complete {
			t.Fatalf("%q are complete", ids)
		}
		return len(ids) == 1 && ids[0] == last[0]
	})
}

// A claim that is no text, which somebody else has written, keeps nothing out of the stream, and puts nothing in twice.
func TestAnEntryWithAForeignClaim(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL(), Adapter: Streams})
	client := relayClient(t, h, `{}`)
	client.call(t, "join", "r")
	s := a.driver.(*streams)
	r.Do("HSET", a.rooms.key("o", "/", "r")+","+digest("1"), "a", "b")
	conn := s.l.client()
	args, scripted, err := s.xadd(&pendingEntry{n: 1, r: &hub.NodeRequest{
		Namespace: "/", Payload: hub.Payload{JSON: []byte(`["n"]`)}, Keep: &hub.Keep{Room: "r", ID: "x-1", Once: "1", Window: patience},
	}})
	if err != nil || !scripted {
		t.Fatal(scripted, err)
	}
	if err := conn.Do(t.Context(), args...).Err(); err != nil {
		t.Error(err)
	}
	if n := conn.XLen(t.Context(), s.key).Val(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

// A user who may run no scripts publishes all the same, and once it may, ids count for all nodes from the next connection on.
func TestScriptsAreAllowedLater(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	rules := append([]string{"ACL", "SETUSER", "greenroom"}, documentedUsers(t)["streams"]...)
	r.Do(append(rules, "-eval", "-evalsha")...)
	h, a := relayNode(t, "a", Options{URL: r.URL(), Adapter: Streams, User: "greenroom", Password: "password"})
	client := relayClient(t, h, `{}`)
	client.call(t, "join", "r")
	noted := func(id string) bool {
		of, err := h.Publish(hub.Publication{Room: "r", Event: "said", Args: []any{id}, ID: id})
		if err != nil {
			t.Fatal(err)
		}
		within(t, id, func() bool { return strings.Contains(client.heard(), `"`+id+`"`) })
		return r.Do("GET", a.rooms.key("o", "/", "r")+","+digest(id)) == of
	}
	if noted("first") {
		t.Error("an id was noted without a script")
	}
	r.Do(append(rules, "+eval", "+evalsha")...)
	r.Do("CLIENT", "KILL", "TYPE", "normal", "USER", "greenroom")
	n := 0
	within(t, "ids to be noted", func() bool { n++; return noted(fmt.Sprint("later", n)) })
}

// The command that was refused says why a transaction was, whichever it is.
func TestWhyATransactionWasAborted(t *testing.T) {
	abort := serverError("EXECABORT Transaction discarded because of previous errors.")
	cmds := make([]goredis.Cmder, 3)
	for i := range cmds {
		cmds[i] = goredis.NewCmd(t.Context())
		cmds[i].SetErr(abort)
	}
	if err := abortedBy(cmds, abort); code(err) != "EXECABORT" {
		t.Error(err)
	}
	cmds[1].SetErr(serverError("TRYAGAIN Multiple keys request during rehashing of slot"))
	if err := abortedBy(cmds, abort); code(err) != "TRYAGAIN" {
		t.Error(err)
	}
}
