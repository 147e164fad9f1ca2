//go:build unix

package redis

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// relayNode is a node without a server.
func relayNode(t *testing.T, name string, o Options) (*hub.Hub, *Adapter) {
	t.Helper()
	return relayNodeWith(t, o, hub.Options{Node: name, HistoryMessages: 5})
}

func relayNodeWith(t *testing.T, o Options, ho hub.Options) (*hub.Hub, *Adapter) {
	t.Helper()
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ho.Adapter, ho.Loops, ho.Logger = a, 1, slog.New(slog.NewTextHandler(io.Discard, nil))
	h, err := hub.New(ho)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	h.Of("/")
	within(t, ho.Node+" is ready", func() bool { return a.Ready() == nil })
	return h, a
}

func publishN(t *testing.T, h *hub.Hub, n int, p hub.Publication) (ids []string) {
	t.Helper()
	p.Room, p.Event = "r", "n"
	for i := range n {
		p.Args = []any{i}
		id, err := h.Publish(p)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, id)
	}
	return ids
}

func historyIDs(h *hub.Hub, after string) (ids []string, complete bool) {
	list, complete := h.History("/", "r", 100, after)
	for _, m := range list {
		ids = append(ids, m.ID)
	}
	return ids, complete
}

func TestNodesShareHistoryOverRedis(t *testing.T) {
	r := testenv.StartRedis(t)
	a, _ := relayNode(t, "a", Options{URL: r.URL()})
	b, _ := relayNode(t, "b", Options{URL: r.URL()})
	sent := slices.Concat(publishN(t, a, 3, hub.Publication{}), publishN(t, a, 4, hub.Publication{}))
	for _, h := range []*hub.Hub{a, b} {
		if got, complete := historyIDs(h, ""); !slices.Equal(got, sent[2:]) || !complete {
			t.Errorf("history %v, %q, sent %q", complete, got, sent)
		}
		if got, complete := historyIDs(h, sent[4]); !slices.Equal(got, sent[5:]) || !complete {
			t.Errorf("after the fifth: %v, %q, sent %q", complete, got, sent)
		}
		if got, complete := historyIDs(h, sent[0]); !slices.Equal(got, sent[2:]) || complete {
			t.Errorf("after what is lost: %v, %q", complete, got)
		}
	}
	// Binary values, and a publisher's own id.
	id, err := a.Publish(hub.Publication{Room: "bin", Event: "n", Args: []any{[]byte{1, 2, 255}}, ID: "mine", Via: "zeromq"})
	if err != nil {
		t.Fatal(err)
	}
	var list []*hub.Message
	within(t, "it is kept", func() bool { list, _ = b.History("/", "bin", 9, ""); return len(list) == 1 })
	if len(list) != 1 || list[0].ID != id || list[0].Event != "n" || len(list[0].Payload.Attachments) != 1 || string(list[0].Payload.Attachments[0]) != "\x01\x02\xff" {
		t.Errorf("binary: %+v", list)
	}
	within(t, "the claim is settled", func() bool {
		again, err := b.Publish(hub.Publication{Room: "bin", Event: "n", ID: "mine"})
		return errors.Is(err, hub.ErrDuplicate) && again == id
	})
}

func TestWhatIsKeptIsBoundedAndEnds(t *testing.T) {
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL()})
	id := publishN(t, h, 20, hub.Publication{Retain: true, ID: ""})[19]
	historyIDs(h, "") // behind them
	client := a.link.client()
	ctx := context.Background()
	n, err := client.LLen(ctx, a.rooms.key("h", "/", "r")).Result()
	if err != nil || n != 5 {
		t.Errorf("%d entries, %v", n, err)
	}
	sum, list := 0, client.LRange(ctx, a.rooms.key("h", "/", "r"), 0, -1).Val()
	for _, e := range list {
		sum += len(e)
	}
	if bytes, err := client.Get(ctx, a.rooms.key("b", "/", "r")).Int(); err != nil || bytes != sum {
		t.Errorf("%d bytes counted, %d there: %v", bytes, sum, err)
	}
	for _, kind := range []string{"h", "b", "r"} {
		if ttl := client.PTTL(ctx, a.rooms.key(kind, "/", "r")).Val(); ttl <= 0 {
			t.Errorf("%s stays for ever", kind)
		}
	}
	got := make(chan hub.RoomView, 1)
	a.ReadRoom("/", "r", hub.RoomQuery{Retained: true}, func(v hub.RoomView, err error) { got <- v })
	if v := <-got; v.Retained == nil || v.Retained.ID != id {
		t.Errorf("retained %+v", v.Retained)
	}
}

// What somebody else has written into our keys harms nobody.
func TestHostileKeys(t *testing.T) {
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL()})
	client, ctx := a.link.client(), context.Background()
	sent := publishN(t, h, 1, hub.Publication{})
	historyIDs(h, "")
	for _, bad := range []string{"x", "\x01", "\x01\x02", "\x01\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", "\x01\x01a\x02[x", "\x01\x01a\x02{}", "\x01\x01a\x03[1]"} {
		client.RPush(ctx, a.rooms.key("h", "/", "r"), bad)
	}
	if got, _ := historyIDs(h, ""); !slices.Equal(got, sent) {
		t.Errorf("got %q", got)
	}
	client.ZAdd(ctx, a.rooms.key("p", "/", "r"), goredis.Z{Member: "a"}, goredis.Z{Member: "a\x00b\x00c\x00n~1"})
	if list, _ := h.Of("/").Present("r", 9); len(list) != 1 || list[0].ID != "b" {
		t.Errorf("present %v", list)
	}
	for _, kind := range []string{"h", "p", "b"} {
		client.Del(ctx, a.rooms.key(kind, "/", "r"))
		client.HSet(ctx, a.rooms.key(kind, "/", "r"), "k", "v")
	}
	other, _ := relayNode(t, "b", Options{URL: r.URL()})
	heard := make(chan string, 1)
	defer other.Tap(func(m *hub.Message) { heard <- m.Event })()
	within(t, "b hears", func() bool {
		publishN(t, h, 1, hub.Publication{})
		select {
		case <-heard:
			return true
		default:
			return false
		}
	})
	h.History("/", "r", 9, "")
	if h.Counters()[reasonUnkept] == 0 || h.Counters()[reasonUnreadable] == 0 {
		t.Errorf("counted %v", h.Counters())
	}
}

func TestEntries(t *testing.T) {
	p := hub.Payload{JSON: []byte(`["a",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1}, {}}}
	k, err := readEntry(string(appendEntry(nil, "id", p)))
	if err != nil || k.ID != "id" || string(k.Payload.JSON) != string(p.JSON) || len(k.Payload.Attachments) != 2 {
		t.Errorf("%+v, %v", k, err)
	}
	who := hub.Sender{ID: "i", Name: "Ann", User: "u"}
	if got, run, err := readMember(memberOf(&who, "node~x~1")); got != who || nodeOf(run) != "node~x" || err != nil {
		t.Errorf("%+v %q %v", got, run, err)
	}
}

func FuzzEntry(f *testing.F) {
	f.Add(string(appendEntry(nil, "id", hub.Payload{JSON: []byte(`["a"]`), Attachments: [][]byte{{1}}})))
	f.Fuzz(func(t *testing.T, text string) {
		k, err := readEntry(text)
		if err == nil && k.ID != "" && !json.Valid(k.Payload.JSON) {
			t.Errorf("%q", text)
		}
		_, _, _ = readMember(text)
	})
}

func TestKeysHaveTheSlotOfTheChannel(t *testing.T) {
	s := &roomStore{prefix: "p"}
	for _, channel := range []string{"socket.io#/#room#", "a{b}c", "a}b", "{", "{}x", "x{y", "ü}"} {
		s.slot = func(string, string) string { return channel }
		if got, want := slotOf(s.key("h", "/", "r")), slotOf(channel); got != want {
			t.Errorf("%q: slot %d, want %d", channel, got, want)
		}
	}
}

// TestMain's child: a node that is killed.
func TestAKilledNodesMembersVanish(t *testing.T) {
	if url := os.Getenv("RELAY_CHILD"); url != "" {
		h, _ := relayNode(t, "child", Options{URL: url, PresenceTTL: time.Second})
		c := relayClient(t, h, `{"name":"Ann"}`)
		c.call(t, "join", "r")
		fmt.Println("joined", c.id())
		select {}
	}
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL(), PresenceTTL: time.Second})
	w := relayClient(t, h, `{"name":"Eve"}`)
	w.call(t, "join", "r", map[string]any{"presence": true})
	child := exec.Command(os.Args[0], "-test.run=^TestAKilledNodesMembersVanish$", "-test.timeout=60s")
	child.Env = append(os.Environ(), "RELAY_CHILD="+r.URL())
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	ended := false
	end := func() {
		if !ended {
			ended = true
			_ = child.Process.Kill()
			_ = child.Wait()
		}
	}
	defer end()
	within(t, "Ann", func() bool {
		return strings.Contains(w.heard(), `"joined":[{"id":"`) && strings.Contains(w.heard(), "Ann")
	})
	if _, n := h.Of("/").Present("r", 9); n != 2 {
		t.Errorf("%d are there", n)
	}
	end()
	within(t, "Ann's end", func() bool {
		i := strings.LastIndex(w.heard(), `"left":[{`)
		return i >= 0 && strings.Contains(w.heard()[i:], "Ann")
	})
	within(t, "the list", func() bool { _, n := h.Of("/").Present("r", 9); return n == 1 })
	within(t, "nothing is left of it", func() bool {
		keys := a.link.client().Keys(context.Background(), "*:greenroom:rooms:child*").Val()
		return len(keys) == 0
	})
}

// Redis has lost everything: who is there is told again.
func TestAfterRedisHasForgottenAllIsAnnouncedAgain(t *testing.T) {
	r := testenv.StartRedis(t)
	h, a := relayNode(t, "a", Options{URL: r.URL(), PresenceTTL: time.Second})
	b, _ := relayNode(t, "b", Options{URL: r.URL(), PresenceTTL: time.Second})
	relayClient(t, h, `{"name":"Ann"}`).call(t, "join", "r")
	known := func() bool { _, n := b.Of("/").Present("r", 9); return n == 1 }
	within(t, "b knows Ann", known)
	if err := a.link.client().FlushAll(context.Background()).Err(); err != nil {
		t.Fatal(err)
	}
	within(t, "b knows Ann again", known)
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	within(t, "b knows that she is gone", func() bool { _, n := b.Of("/").Present("r", 9); return n == 0 })
}
