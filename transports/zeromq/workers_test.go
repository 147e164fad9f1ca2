package zeromq

import (
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
	"greenroom/transports/zeromq/internal/guard"
)

// worked is a hub whose namespace "/" is served by workers.
func worked(t testing.TB, o Options) (*hub.Hub, *Bridge) {
	t.Helper()
	h := newHub(t, hub.Options{Loops: 2})
	o.Workers = anyPort
	b := listen(t, h, o)
	h.Of("/").Use(b.Workers().Admit)
	if err := h.Handle("/", b.Workers().Serve); err != nil {
		t.Fatal(err)
	}
	return h, b
}

// testWorker is a worker of a test.
type testWorker struct{ *asker }

// employ registers a worker. ready is what stands in its READY beside the version.
func employ(t testing.TB, b *Bridge, ready string) *testWorker {
	t.Helper()
	w := &testWorker{ask(t, b.Addr("workers"), zmq4.Dealer)}
	w.send("READY", `{"version":1,`+ready+`}`)
	w.want("READY")
	return w
}

// want receives until a message begins with a word; heartbeats are passed over, others are none of the test's.
func (w *testWorker) want(word string) []string {
	w.t.Helper()
	for {
		got := w.receive()
		if got[0] == word {
			return got
		}
		if got[0] != wordHeartbeat {
			w.t.Fatalf("got %q, want %s", got, word)
		}
	}
}

// event receives an event of this name and returns its tag, header and arguments.
func (w *testWorker) event(name string) (tag string, head map[string]any, args []string) {
	w.t.Helper()
	got := w.want("EVENT")
	if err := json.Unmarshal([]byte(got[2]), &head); err != nil {
		w.t.Fatal(err)
	}
	if head["event"] != name {
		w.t.Fatalf("got %q, want the event %s", got, name)
	}
	return got[1], head, got[3:]
}

func TestWorkersServe(t *testing.T) {
	h, b := worked(t, Options{Principal: "bot"})
	w := employ(t, b, `"events":["connect","say","blob","fail","disconnect"],"credit":10`)
	c := browse(t, h, "/", `{"token":"t"}`)

	tag, head, args := w.event("connect")
	if !strings.Contains(args[0], `[{"auth":{"token":"t"},"secure":false}]`) || head["ack"] != true {
		t.Errorf("connect %v %q", head, args)
	}
	w.send("ACK", tag, `[{"user":"alice","rooms":["lobby"],"data":{"plan":"gold"}}]`)
	c.want(t, "accepted")
	id := c.session.ID()

	c.emit(1, "say", "hi", map[string]any{"n": 9007199254740993})
	tag, head, args = w.event("say")
	want := map[string]any{"session": id, "nsp": "/", "event": "say", "user": "alice", "data": map[string]any{"plan": "gold"}, "ack": true}
	if fmt.Sprint(head) != fmt.Sprint(want) || args[0] != `["hi",{"n":9007199254740993}]` {
		t.Errorf("%v %q", head, args)
	}
	w.send("EMIT", `{"session":"`+id+`","event":"early"}`, `["before the ack"]`)
	w.send("PUBLISH", `{"room":"lobby","event":"said"}`, `["hi"]`)
	w.send("ACK", tag, `["heard",{"n":9007199254740993}]`)
	if got := c.want(t, "ack 1"); got != `ack 1 ["heard",{"n":9007199254740993}]` {
		t.Errorf("acked %s", got)
	}
	if !slices.Contains(c.seen, `["early","before the ack"]`) || !strings.Contains(strings.Join(c.seen, ""), `["said","hi",{"room":"lobby","id":"`) {
		t.Errorf("seen %q", c.seen)
	}

	c.emit(2, "blob", []byte{0, 255}, map[string]any{"in": []byte{}})
	tag, _, args = w.event("blob")
	if !slices.Equal(args, []string{`[{"_placeholder":true,"num":0},{"in":{"_placeholder":true,"num":1}}]`, "\x00\xff", ""}) {
		t.Errorf("binary %q", args)
	}
	w.send("ACK", tag, `[1]`, "\xfe", "") // behind the others
	c.want(t, `ack 2 [1,{"_placeholder":true,"num":0},{"_placeholder":true,"num":1}]`)

	c.emit(3, "fail")
	tag, _, _ = w.event("fail")
	w.send("FAIL", tag, `{"code":"too_late","message":"not any more"}`)
	c.want(t, `ack 3 [{"error":{"code":"too_late","message":"not any more"},"ok":false}]`)

	c.leave()
	tag, head, args = w.event("disconnect")
	if args[0] != `["transport close"]` || head["user"] != "alice" {
		t.Errorf("disconnect %v %q", head, args)
	}
	w.send("ACK", tag)
	w.send("PUBLISH", `{"room":"lobby","event":"e","ref":1}`)
	if got := w.want("RESULT"); !strings.HasPrefix(got[1], `{"ref":1,"ok":true,"room":"lobby","id":"`) {
		t.Errorf("%q", got)
	}
	eventually(t, "an end", func() bool { return b.Workers().Stats() == WorkStats{Workers: 1} && h.SessionCount() == 0 })
	if n := h.Counters()[reasonLateAnswer]; n > 0 {
		t.Errorf("%d late answers", n)
	}
}

func TestWorkersRefuse(t *testing.T) {
	h, b := worked(t, Options{})
	w := employ(t, b, `"events":["connect"],"credit":10`)
	for answer, want := range map[string]string{
		`FAIL|{"message":"who are you?","data":{"retry":false}}`: `refused who are you? {"retry":false}`,
		`FAIL|{"code":"banned","message":"go away"}`:             `refused go away {"code":"banned","message":"go away"}`,
		`FAIL`:                        `refused refused {"code":"refused","message":"refused"}`,
		`ACK|[{"rooms":["$secret"]}]`: `refused internal error`,
		`ACK|[{"user":""}]`:           `accepted`,
		`ACK|[{"user":5}]`:            `refused internal error`,
		`ACK|[[]]`:                    `refused internal error`,
		`ACK|{}`:                      `refused the answer could not be read`,
		`ACK|[null]`:                  `accepted`,
		`ACK`:                         `accepted`,
	} {
		c := browse(t, h, "/", "{}")
		tag, _, _ := w.event("connect")
		word, rest, more := strings.Cut(answer, "|")
		if more {
			w.send(word, tag, rest)
		} else {
			w.send(word, tag)
		}
		if answer == `ACK|{}` {
			w.want("ERROR")
		}
		c.want(t, want)
		if want == "accepted" {
			c.leave()
		}
	}
}

// TestWorkersUnserved: who registers for namespaces that workers do not serve is told which, and works in the others.
func TestWorkersUnserved(t *testing.T) {
	for _, c := range []struct {
		name, nsp, want string
		served          []string
		count           uint64
	}{
		{"all are", `"/"`, `{"version":1,"node":"n","heartbeat":5}`, []string{"/", "/chat"}, 0},
		{"some are", `["/chat","/","/x"]`, `{"version":1,"node":"n","heartbeat":5,"unserved":["/chat","/x"]}`, []string{"/"}, 1},
		{"none is", `"/"`, `{"version":1,"node":"n","heartbeat":5,"unserved":["/"]}`, []string{}, 1},
		{"unknown", `"/x"`, `{"version":1,"node":"n","heartbeat":5}`, nil, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHub(t, hub.Options{Node: "n"})
			b := listen(t, h, Options{Workers: anyPort, Work: WorkOptions{Namespaces: c.served}})
			w := &testWorker{ask(t, b.Addr("workers"), zmq4.Dealer)}
			w.send("READY", `{"version":1,"events":["*"],"nsp":`+c.nsp+`}`)
			if got := w.want("READY"); got[1] != c.want {
				t.Errorf("READY says %s, want %s", got[1], c.want)
			}
			if got := h.Counters()[reasonUnserved]; got != c.count || b.Workers().Stats().Workers != 1 {
				t.Errorf("counted %d, want %d; %+v", got, c.count, b.Workers().Stats())
			}
		})
	}
}

// TestWorkersNobody: without workers the client is told so, at once or when Wait is over.
func TestWorkersNobody(t *testing.T) {
	t.Run("at once", func(t *testing.T) {
		h, b := worked(t, Options{Work: WorkOptions{Wait: -1}})
		c := browse(t, h, "/", "{}")
		c.want(t, `refused nobody is there to handle this; try again later {"code":"no_workers"`)
		w := employ(t, b, `"events":["say"]`)
		c = comeIn(t, h, "/", "{}") // nobody asks to be asked
		c.emit(1, "sing")
		c.want(t, `ack 1 [{"error":{"code":"no_workers","message":`)
		w.close()
		eventually(t, "its end", func() bool { return b.Workers().Stats().Workers == 0 })
		c.emit(2, "say")
		c.want(t, `ack 2 [{"error":{"code":"no_workers","message":`)
		if h.Counters()[reasonNoWorkers] != 3 {
			t.Errorf("counted %v", h.Counters())
		}
	})
	t.Run("in time", func(t *testing.T) {
		h, b := worked(t, Options{Work: WorkOptions{Wait: patience}})
		c := browse(t, h, "/", "{}")
		eventually(t, "its wait", func() bool { return b.Workers().Stats().Waiting == 1 })
		w := employ(t, b, `"events":["connect"]`)
		tag, _, _ := w.event("connect")
		w.send("ACK", tag)
		c.want(t, "accepted")
	})
	t.Run("too late", func(t *testing.T) {
		h, _ := worked(t, Options{Work: WorkOptions{Wait: 50 * time.Millisecond}})
		browse(t, h, "/", "{}").want(t, `refused nobody is there`)
	})
	t.Run("auth", func(t *testing.T) {
		h, b := worked(t, Options{Work: WorkOptions{Wait: -1, Auth: true}})
		employ(t, b, `"events":["*"]`)
		w := employ(t, b, `"events":["say"]`)
		_ = w
		c := browse(t, h, "/", "{}")
		c.want(t, `refused nobody is there`)
	})
	t.Run("auth has gone", func(t *testing.T) { // and other workers have not: nobody comes in meanwhile
		h, b := worked(t, Options{Work: WorkOptions{Wait: -1}})
		employ(t, b, `"events":["say"]`)
		comeIn(t, h, "/", "{}")
		w := employ(t, b, `"events":["connect"]`)
		w.close()
		eventually(t, "its end", func() bool { return b.Workers().Stats().Workers == 1 })
		browse(t, h, "/", "{}").want(t, `refused nobody is there`)
	})
	t.Run("gone before", func(t *testing.T) {
		h, b := worked(t, Options{Work: WorkOptions{Wait: patience}})
		c := browse(t, h, "/", "{}")
		eventually(t, "its wait", func() bool { return b.Workers().Stats().Waiting == 1 })
		c.leave()
		eventually(t, "its end", func() bool { return b.Workers().Stats().Waiting == 0 && h.SessionCount() == 0 })
	})
	t.Run("no endpoint", func(t *testing.T) {
		h := newHub(t, hub.Options{Loops: 1})
		b := listen(t, h, Options{})
		if err := h.Handle("/", b.Workers().Serve); err != nil {
			t.Fatal(err)
		}
		c := comeIn(t, h, "/", "{}")
		c.emit(1, "say")
		c.want(t, `ack 1 [{"error":{"code":"no_workers"`)
	})
}

// TestWorkersDie: what a worker had not answered goes to another, marked, or fails when it said so.
func TestWorkersDie(t *testing.T) {
	h, b := worked(t, Options{})
	for _, way := range []string{"closes", "falls silent"} {
		t.Run(way, func(t *testing.T) {
			ready := `"events":["say"],"credit":10,"heartbeat":0`
			if way == "falls silent" {
				ready = `"events":["say"],"credit":10,"heartbeat":0.2`
			}
			first := employ(t, b, ready)
			c := comeIn(t, h, "/", "{}")
			c.emit(1, "say", "one")
			c.emit(2, "say", "two")
			first.event("say")
			second := employ(t, b, `"events":["say"],"credit":10,"heartbeat":0`)
			if way == "closes" {
				first.close()
			}
			for i, text := range []string{"one", "two"} {
				tag, head, args := second.event("say")
				if args[0] != `["`+text+`"]` || (head["redelivered"] == float64(1)) != (i == 0) {
					t.Errorf("%v %q", head, args)
				}
				second.send("ACK", tag, `["`+text+`"]`)
				c.want(t, fmt.Sprintf(`ack %d ["%s"]`, i+1, text))
			}
			c.leave()
			first.close()
			second.close()
			eventually(t, "their end", func() bool { return b.Workers().Stats() == WorkStats{} })
		})
	}
	t.Run("fails", func(t *testing.T) {
		first := employ(t, b, `"events":["say"],"on_death":"fail"`)
		employ(t, b, `"events":["other"]`)
		c := comeIn(t, h, "/", "{}")
		c.emit(1, "say")
		first.event("say")
		first.close()
		c.want(t, `ack 1 [{"error":{"code":"worker_died"`)
		c.leave()
	})
	if n := h.Counters(); n[reasonRedelivered] != 2 || n[reasonWorkerDied] != 1 || n[reasonWorkerSilent] != 1 {
		t.Errorf("counted %v", n)
	}
}

// TestWorkersPoison: an event whose workers die one after the other is given up.
func TestWorkersPoison(t *testing.T) {
	h, b := worked(t, Options{Work: WorkOptions{MaxRedeliveries: 2, Wait: patience}})
	w := employ(t, b, `"events":["say"]`)
	c := comeIn(t, h, "/", "{}")
	c.emit(1, "say")
	for range 3 {
		w.event("say")
		w.close()
		w = employ(t, b, `"events":["say"]`)
	}
	c.want(t, `ack 1 [{"error":{"code":"worker_died"`)
}

func TestWorkersTimeout(t *testing.T) {
	h, b := worked(t, Options{Work: WorkOptions{Timeout: 300 * time.Millisecond}})
	w := employ(t, b, `"events":["say"],"credit":2`)
	c := comeIn(t, h, "/", "{}")
	c.emit(1, "say")
	tag, _, _ := w.event("say")
	c.want(t, `ack 1 [{"error":{"code":"timeout"`)
	w.send("ACK", tag, `["late"]`)
	eventually(t, "a counter", func() bool { return h.Counters()[reasonLateAnswer] == 1 })
	c.emit(2, "say")
	tag, _, _ = w.event("say")
	w.send("ACK", tag)
	c.want(t, `ack 2 []`)
}

// TestWorkersCredit: a worker gets no more at once than it wants, and the least loaded one gets the next.
func TestWorkersCredit(t *testing.T) {
	h, b := worked(t, Options{Work: WorkOptions{MaxQueue: 3, Timeout: patience}})
	w := employ(t, b, `"events":["say"],"credit":1`)
	clients := make([]*browser, 6)
	for i := range clients {
		clients[i] = comeIn(t, h, "/", "{}")
	}
	for i, c := range clients {
		c.emit(1, "say", i)
		switch {
		case i < 4:
			eventually(t, "its place", func() bool { s := b.Workers().Stats(); return s.UnderWay == 1 && s.Waiting == i })
		default:
			c.want(t, `ack 1 [{"error":{"code":"overloaded"`)
		}
	}
	if n := h.Counters()[reasonWorkQueue]; n != 2 {
		t.Errorf("%d counted as dropped, want 2", n)
	}
	tag, _, args := w.event("say")
	if args[0] != "[0]" {
		t.Errorf("first %q", args)
	}
	w.send("CREDIT", "0")
	w.send("ACK", tag)
	clients[0].want(t, "ack 1 []")
	if s := b.Workers().Stats(); s.Waiting != 3 || s.UnderWay != 0 {
		t.Errorf("without credit: %+v", s)
	}
	w.send("CREDIT", "2")
	for i := 1; i < 4; i++ {
		tag, _, args := w.event("say")
		if args[0] != fmt.Sprintf("[%d]", i) {
			t.Errorf("number %d: %q", i, args)
		}
		w.send("ACK", tag)
	}
}

// TestWorkersSticky: a session stays with one worker, and one event of a session is under way.
func TestWorkersSticky(t *testing.T) {
	h, b := worked(t, Options{})
	workers := []*testWorker{employ(t, b, `"events":["*"],"credit":5,"sticky":true`), employ(t, b, `"events":["*"],"credit":5,"sticky":true`)}
	at := make(map[*browser]int)
	var clients []*browser
	for range 6 {
		clients = append(clients, comeIn(t, h, "/", "{}"))
	}
	turns := make(chan int, 100)
	for i, w := range workers {
		go func() {
			for {
				msg, err := w.conn.RecvMsg()
				if err != nil {
					return
				}
				if string(msg.Frames[0]) != wordEvent {
					continue
				}
				turns <- i
				_ = w.conn.SendMsg(zmq4.NewMsgFrom([]byte("ACK"), msg.Frames[1]))
			}
		}()
	}
	for round := range 5 {
		for _, c := range clients {
			c.emit(int64(round), "e")
			c.want(t, fmt.Sprintf("ack %d []", round))
			i := <-turns
			if was, ok := at[c]; ok && was != i {
				t.Fatalf("a session went from worker %d to %d", was, i)
			}
			at[c] = i
		}
	}
	var n [2]int
	for _, i := range at {
		n[i]++
	}
	if n[0] == 0 || n[1] == 0 {
		t.Errorf("the workers have %v of the sessions", n)
	}
}

// TestWorkersOrder: events of a session come to its workers in order, also when several may be under way.
func TestWorkersOrder(t *testing.T) {
	h, b := worked(t, Options{})
	for _, ready := range []string{`"events":["*"],"credit":20`, `"events":["*"],"credit":20,"parallel":8`} {
		w := employ(t, b, ready)
		c := comeIn(t, h, "/", "{}")
		const n = 200
		for i := range n {
			c.emit(int64(i), "n", i)
		}
		var held []string
		for i := range n {
			tag, _, args := w.event("n")
			if args[0] != fmt.Sprintf("[%d]", i) {
				t.Fatalf("%d: %q", i, args)
			}
			if held = append(held, tag); len(held) == 8 || !strings.Contains(ready, "parallel") {
				for _, tag := range held {
					w.send("ACK", tag, "["+args[0]+"]")
				}
				held = nil
			}
		}
		c.want(t, fmt.Sprintf("ack %d", n-1))
		c.leave()
		w.close()
		eventually(t, "its end", func() bool { return b.Workers().Stats() == WorkStats{} })
	}
}

// TestWorkersBye: a worker that says BYE gets nothing new and may finish; what is new goes to its successor.
func TestWorkersBye(t *testing.T) {
	h, b := worked(t, Options{})
	old := employ(t, b, `"events":["say"],"credit":10`)
	c, d := comeIn(t, h, "/", "{}"), comeIn(t, h, "/", "{}")
	c.emit(1, "say", "first")
	tag, _, _ := old.event("say")
	fresh := employ(t, b, `"events":["say"],"credit":10`)
	old.send("BYE")
	old.send("READY", `{"version":1,"events":["say"]}`)
	old.want("ERROR") // no way back
	d.emit(1, "say", "second")
	next, _, args := fresh.event("say")
	if args[0] != `["second"]` {
		t.Errorf("the new worker got %q", args)
	}
	fresh.send("ACK", next)
	d.want(t, "ack 1")
	old.send("ACK", tag, `["done"]`)
	old.want("BYE")
	c.want(t, `ack 1 ["done"]`)
	old.close()
	if n := h.Counters()[reasonRedelivered]; n > 0 {
		t.Errorf("%d sent again", n)
	}
}

// TestWorkersREQ: a REQ socket may be a worker; it says one thing and hears one.
func TestWorkersREQ(t *testing.T) {
	h, b := worked(t, Options{})
	w := &testWorker{ask(t, b.Addr("workers"), zmq4.Req)}
	turn := func(frames ...string) []string {
		t.Helper()
		w.send(append([]string{""}, frames...)...)
		return w.receive()[1:]
	}
	if got := turn("READY", `{"version":1,"events":["say"],"heartbeat":0.2}`); got[0] != "READY" {
		t.Fatalf("%q", got)
	}
	c := comeIn(t, h, "/", "{}")
	next := func(frames ...string) []string {
		t.Helper()
		got := turn(frames...)
		for got[0] == "HEARTBEAT" {
			got = turn("HEARTBEAT")
		}
		return got
	}
	if got := turn("HEARTBEAT"); got[0] != "HEARTBEAT" { // when nothing happens
		t.Fatalf("%q", got)
	}
	for i := range 3 {
		c.emit(int64(2*i), "say", i)
		c.emit(int64(2*i+1), "say", i)
		for k := range 2 {
			got := next("HEARTBEAT")
			if got[0] != "EVENT" || got[3] != fmt.Sprintf("[%d]", i) {
				t.Fatalf("%q", got)
			}
			if res := turn("JOIN", `{"session":"`+c.session.ID()+`","room":"r"}`); res[0] != "RESULT" || res[1] != `{"ok":true}` {
				t.Fatalf("%q", res)
			}
			w.send("", "ACK", got[1], "[1]")
			c.want(t, fmt.Sprintf("ack %d [1]", 2*i+k))
			if got := w.receive(); got[1] != "HEARTBEAT" && got[1] != "EVENT" {
				t.Fatalf("%q", got)
			} else if got[1] == "EVENT" {
				w.send("", "ACK", got[2], "[1]")
				c.want(t, fmt.Sprintf("ack %d [1]", 2*i+1))
				w.receive()
				break
			}
		}
	}
	if got := turn("FOO"); got[0] != "ERROR" {
		t.Errorf("%q", got)
	}
}

// TestWorkersREQBye: a REQ worker takes its leave, when it has an event and when it has none, and when the server does.
func TestWorkersREQBye(t *testing.T) {
	h, b := worked(t, Options{})
	reqWorker := func() (turn func(frames ...string) []string) {
		w := &testWorker{ask(t, b.Addr("workers"), zmq4.Req)}
		turn = func(frames ...string) []string {
			t.Helper()
			w.send(append([]string{""}, frames...)...)
			return w.receive()[1:]
		}
		if got := turn("READY", `{"version":1,"events":["say"],"heartbeat":3600}`); got[0] != "READY" {
			t.Fatalf("%q", got)
		}
		return turn
	}
	turn := reqWorker()
	c := comeIn(t, h, "/", "{}")
	c.emit(1, "say")
	got := turn("HEARTBEAT")
	if got[0] != "EVENT" {
		t.Fatalf("%q", got)
	}
	if bye := turn("BYE"); bye[0] != "HEARTBEAT" {
		t.Errorf("with an event, BYE was answered by %q", bye)
	}
	if bye := turn("ACK", got[1], "[1]"); bye[0] != "BYE" {
		t.Errorf("the last answer, by %q", bye)
	}
	c.want(t, "ack 1 [1]")
	if bye := reqWorker()("BYE"); bye[0] != "BYE" {
		t.Errorf("without an event, BYE was answered by %q", bye)
	}
	turn = reqWorker()
	c.emit(2, "say")
	if got = turn("HEARTBEAT"); got[0] != "EVENT" {
		t.Fatalf("%q", got)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- b.Close() }()
	eventually(t, "the server's leave", func() bool {
		b.workers.mu.Lock()
		defer b.workers.mu.Unlock()
		for l := range b.workers.links {
			if len(l.w.jobs) > 0 {
				return l.bye
			}
		}
		return false
	})
	if bye := turn("ACK", got[1], "[1]"); bye[0] != "BYE" {
		t.Errorf("while the server stops, the last answer, by %q", bye)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
}

// badWords are messages that a worker is told off for.
var badWords = []string{
	"", "|", "x", "FOO|{}", "EVENT|1", "READY", "READY|{}", "READY|[]", `READY|{"version":2,"events":["x"]}`, `READY|{"version":1}`,
	`READY|{"version":1,"events":["x"],"credit":-1}`, `READY|{"version":1,"events":["x"],"credit":100000}`, `READY|{"version":1,"events":["x"],"parallel":0}`,
	`READY|{"version":1,"events":["x"],"on_death":"dance"}`, `READY|{"version":1,"events":["x"],"heartbeat":0.01}`, `READY|{"version":1,"events":["x"],"heartbeat":-1}`,
	`READY|{"version":1,"events":[""]}`, `READY|{"version":1,"events":["x"],"nsp":"chat"}`, `READY|{"version":1,"events":["x"],"name":"` + strings.Repeat("n", 300) + `"}`,
	"CREDIT", "CREDIT|x", "CREDIT|-1", "ACK", "ACK|x", "ACK|-1", "FAIL|1|[]", "FAIL|1|{}|{}", "ACK|1|{}", "ACK|1|[", "ACK|1|[]" + strings.Repeat("|b", 11),
	"EMIT", "EMIT|{}", `EMIT|{"session":"s"}`, `EMIT|{"session":"s","event":"connect"}`, `EMIT|{"session":"s","event":"e"}|{}`, `EMIT|{"session":"$s","event":"e"}`,
	`EMIT|{"session":"s","event":"e","nsp":"/none"}`, "PUBLISH|{}", `PUBLISH|{"room":"$x"}`, `PUBLISH|{"room":"r"}|[` + strings.Repeat("1,", 64) + `1]`,
	`JOIN|{"session":"s"}`, `JOIN|{"room":"r"}`, `LEAVE|{"session":"s","room":"$r"}`, `KICK|{}`, `KICK|{"session":"s","ref":{}}`, `KICK|{"user":"u","reason":"` + strings.Repeat("r", 300) + `"}`,
}

func TestWorkersBadWords(t *testing.T) {
	h, b := worked(t, Options{})
	w := employ(t, b, `"events":["say"]`)
	c := comeIn(t, h, "/", "{}")
	fresh := &testWorker{ask(t, b.Addr("workers"), zmq4.Dealer)}
	fresh.send("ACK", "1")
	if got := fresh.want("ERROR"); !strings.Contains(got[1], `"code":"not_ready"`) {
		t.Errorf("%q", got)
	}
	for _, m := range badWords {
		w.send(strings.Split(m, "|")...)
		got := w.receive()
		for got[0] == "" { // an envelope
			got = got[1:]
		}
		if got[0] != "ERROR" || !strings.Contains(got[1], `"code":"`) {
			t.Errorf("%.80s: %q", m, got)
		}
	}
	w.send("READY", `{"version":1,"events":["say"]}`)
	w.want("READY")
	c.emit(1, "say")
	tag, _, _ := w.event("say")
	w.send("ACK", tag, "not JSON") // is an answer all the same
	w.want("ERROR")
	c.want(t, `ack 1 [{"error":{"code":"bad_answer"`)
}

func TestWorkersPermissions(t *testing.T) {
	h, b := worked(t, Options{})
	p := &peer{endpoint: b.endpoints["workers"], guard: guard.New(fakeNet{}, "ROUTER", guard.Limits{})}
	defer func() { _ = p.guard.Close(); p.guard.Wait() }()
	p.is(&Principal{User: "feed", Publish: Patterns{"in.*"}})
	l := &workerLink{peer: p, w: &worker{}}
	l.w.link = l
	for _, m := range []string{`READY|{"version":1,"events":["x"]}`} {
		var body [][]byte
		for part := range strings.SplitSeq(m, "|") {
			body = append(body, []byte(part))
		}
		if err := b.Workers().take(l, nil, body); err == nil || !strings.Contains(err.Error(), reasonForbidden) {
			t.Errorf("%s: %v", m, err)
		}
	}
	for m, want := range map[string]string{
		`PUBLISH|{"room":"in.a"}`: "", `PUBLISH|{"room":"out"}`: reasonForbidden, `EMIT|{"session":"s","event":"e"}`: reasonForbidden,
		`JOIN|{"session":"s","room":"r"}`: reasonForbidden, `LEAVE|{"session":"s","room":"r"}`: reasonForbidden, `KICK|{"session":"s"}`: reasonForbidden,
	} {
		word, head, _ := strings.Cut(m, "|")
		_, err := b.Workers().do(p, word, []byte(head), nil)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", m, err, want)
		}
	}
	_ = h
}

// TestWorkersStop: a bridge that closes says BYE, lets workers answer what they have, and fails the rest.
func TestWorkersStop(t *testing.T) {
	h := newHub(t, hub.Options{Loops: 1})
	b, err := Listen(h, Options{Workers: anyPort, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Handle("/", b.Workers().Serve); err != nil {
		t.Fatal(err)
	}
	w := employ(t, b, `"events":["say"]`)
	c, d := comeIn(t, h, "/", "{}"), comeIn(t, h, "/", "{}")
	c.emit(1, "say")
	tag, _, _ := w.event("say")
	d.emit(1, "say")
	eventually(t, "a wait", func() bool { return b.Workers().Stats().Waiting == 1 })
	closed := make(chan error)
	go func() { closed <- b.Close() }()
	w.want("BYE")
	w.send("ACK", tag, `["in time"]`)
	c.want(t, `ack 1 ["in time"]`)
	if err := <-closed; err != nil {
		t.Error(err)
	}
	d.want(t, `ack 1 [{"error":{"code":"`)
	c.emit(2, "say")
	c.want(t, `ack 2 [{"error":{"code":"closing"`)
	if err := b.Close(); err != nil {
		t.Error(err)
	}
}

// TestWorkersHostile: others are served whatever a worker does.
func TestWorkersHostile(t *testing.T) {
	h, b := worked(t, Options{QueueBytes: 64 << 10, SlowAfter: 50 * time.Millisecond})
	good := employ(t, b, `"events":["say"],"credit":100`)
	c, d := comeIn(t, h, "/", "{}"), comeIn(t, h, "/", "{}") // a loop keeps the coroutine of a session that ends
	n := int64(0)
	served := func() {
		t.Helper()
		n++
		c.emit(n, "say")
		tag, _, _ := good.event("say")
		good.send("ACK", tag)
		c.want(t, fmt.Sprintf("ack %d []", n))
	}
	served()
	returned := footprint(t)
	t.Run("never reads", func(t *testing.T) {
		bad := rawDial(t, b.Addr("workers"))
		flood := strings.Repeat(string(rawMessage("READY", `{"version":1,"events":["other"],"credit":10000}`)), 100)
		if _, err := bad.Write(rawHello("DEALER")); err != nil {
			t.Fatal(err)
		}
		for { // until it is cut off
			if err := bad.SetWriteDeadline(time.Now().Add(patience)); err != nil {
				t.Fatal(err)
			}
			if _, err := bad.Write([]byte(flood)); err != nil {
				if ne, ok := err.(net.Error); ok && ne.Timeout() {
					t.Fatal("it is not cut off")
				}
				break
			}
			served()
		}
		_ = bad.Close()
	})
	t.Run("takes and never reads", func(t *testing.T) {
		// Its events wait for it until it is cut off, and then go to the good one.
		bad := rawDial(t, b.Addr("workers"))
		if _, err := bad.Write(concat(rawHello("DEALER"), rawMessage("READY", `{"version":1,"events":["big"],"credit":1000,"heartbeat":0.2}`))); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it", func() bool { return b.Workers().Stats().Workers == 2 })
		d.emit(1, "big", strings.Repeat("x", 50_000))
		eventually(t, "it there", func() bool { return b.Workers().Stats().UnderWay == 1 })
		served()
		good.send("READY", `{"version":1,"events":["say","big"],"credit":100}`)
		good.want("READY")
		tag, head, _ := good.event("big")
		if head["redelivered"] != float64(1) {
			t.Errorf("%v", head)
		}
		good.send("ACK", tag)
		d.want(t, "ack 1 []")
		_ = bad.Close()
	})
	t.Run("leaves", func(t *testing.T) {
		for range 20 {
			bad := rawDial(t, b.Addr("workers"))
			_, _ = bad.Write(concat(rawHello("REQ"), rawMessage("", "READY", `{"version":1,"events":["say"]}`)))
			_ = bad.Close()
		}
		eventually(t, "their end", func() bool { return b.Workers().Stats().Workers == 1 })
		served()
	})
	returned()
}

func TestHeadOf(t *testing.T) {
	j := &job{head: eventHead{Session: "s", Namespace: "/", Event: "<e>"}.encode(), sent: 3}
	if got := string(headOf(j)); got != `{"session":"s","nsp":"/","event":"<e>","redelivered":2}` {
		t.Error(got)
	}
}

func FuzzWorkerMessage(f *testing.F) {
	for _, m := range badWords {
		f.Add(m)
	}
	for _, m := range []string{`READY|{"version":1,"nsp":["/","/a"],"events":["*"],"credit":5}`, `ACK|1|[{"_placeholder":true,"num":0}]|x`, "FAIL|1", "BYE", "HEARTBEAT",
		`|PUBLISH|{"room":["a","b"],"ref":"x"}|["x"]|b`, `id||EMIT|{"user":"u","event":"e"}`} {
		f.Add(m)
	}
	h := newHub(f, hub.Options{Loops: 1})
	if err := h.Handle("/", func(s *hub.Session) error { return nil }); err != nil {
		f.Fatal(err)
	}
	b := listen(f, h, Options{Workers: anyPort})
	f.Fuzz(func(t *testing.T, text string) {
		p := &peer{endpoint: b.endpoints["workers"], guard: guard.New(fakeNet{}, "ROUTER", guard.Limits{})}
		defer func() { _ = p.guard.Close(); p.guard.Wait() }()
		p.is(anyone(""))
		l := &workerLink{peer: p, w: &worker{}}
		l.w.link = l
		defer b.Workers().gone(l)
		for _, m := range []string{`READY|{"version":1,"events":["x"],"credit":1}`, text} {
			var frames [][]byte
			for part := range strings.SplitSeq(m, "|") {
				frames = append(frames, []byte(part))
			}
			envelope, body, ok := splitEnvelope(frames, beginsWorker)
			if !ok || len(body) == 0 {
				continue
			}
			b.Workers().hear(l, envelope)
			if err := b.Workers().take(l, envelope, body); err != nil && strings.Contains(err.Error(), "internal") {
				t.Fatal(err)
			}
		}
		if n := h.Counters()[reasonControlPanic]; n > 0 {
			t.Fatalf("%q: a panic", text)
		}
	})
}
