//go:build unix

package redis

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tinylib/msgp/msgp"

	"greenroom/hub"
	"greenroom/internal/msgpack"
	"greenroom/internal/testenv"
)

// matrixMode is one way to join nodes.
type matrixMode struct {
	name    string
	options Options        // of the Greenroom nodes, without URL
	adapter string         // of the Node.js node
	peer    map[string]any // its options
	emitter bool           // @socket.io/redis-emitter is heard
	// answers tells commands that answer others from those that ask.
	answers func(channel, body string) bool
}

var matrixModes = []matrixMode{
	{name: "classic", adapter: "classic", emitter: true, answers: classicAnswer},
	{
		name: "classic-personal", options: Options{PersonalAnswers: true, Prefix: "pre"}, adapter: "classic", emitter: true,
		peer: map[string]any{"publishOnSpecificResponseChannel": true, "key": "pre"}, answers: classicAnswer,
	},
	{
		name: "static", options: Options{Adapter: Sharded, Mode: Static}, adapter: "sharded",
		peer: map[string]any{"subscriptionMode": "static"}, answers: shardedAnswers,
	},
	{name: "dynamic", options: Options{Adapter: Sharded}, adapter: "sharded", answers: shardedAnswers},
	{
		name: "dynamic-private", options: Options{Adapter: Sharded, Mode: DynamicPrivate}, adapter: "sharded",
		peer: map[string]any{"subscriptionMode": "dynamic-private"}, answers: shardedAnswers,
	},
	{name: "streams", options: Options{Adapter: Streams}, adapter: "streams", answers: personalAnswer},
}

// unmarked takes the mark off by which Greenroom nodes know each other's requests. In msgpack it changes counts as well:
// then all is taken off.
func unmarked(sent []string) (list []string) {
	for _, s := range sent {
		s = strings.NewReplacer(`,"greenroom":1`, "", `"greenroom":1`, "", "\u0082§timeoutÍN ©greenroom\x01", "\u0081§timeoutÍN ").Replace(s)
		list = append(list, s)
	}
	return list
}

func shardedAnswers(_, body string) bool {
	m, err := readMessage([]byte(body))
	return err == nil && (m.kind == msgFetched || m.kind >= msgServerEmitted)
}

func classicAnswer(channel, _ string) bool { return strings.Contains(channel, "-response#") }

var personalChannel = regexp.MustCompile(`#[0-9a-f]{16}#$`)

func personalAnswer(channel, _ string) bool { return personalChannel.MatchString(channel) }

// matrixStep is one operation as it is written for a Node.js node, an emitter and a Greenroom node.
type matrixStep struct {
	name    string
	js      string // with `on`, which is io or the emitter
	emitter bool   // the emitter can do it
	do      func(ns *hub.Namespace) (any, error)
	want    map[string][]string // what clients then get, in any order
	result  map[string]string   // by who asks; "" is everybody
	differs bool                // on the wire, with a reason beside
}

// gets is for several clients the same.
func gets(clients string, events ...string) map[string][]string {
	m := make(map[string][]string)
	for _, c := range strings.Fields(clients) {
		m[c] = events
	}
	return m
}

func emits(err error) (any, error) { return nil, err }

// answersOf makes of answers what the JavaScript of the steps makes of them: their first values, in order.
func answersOf(answers []hub.Answer, err error) (any, error) {
	var list []string
	for _, a := range answers {
		list = append(list, show(hub.Payload{JSON: first(a.Payload), Attachments: a.Payload.Attachments}))
	}
	slices.Sort(list)
	return json.RawMessage("[" + strings.Join(list, ",") + "]"), err
}

var placeholders = regexp.MustCompile(`\{"_placeholder":true,"num":(\d+)\}`)

// show is a payload with binary values as peers show them.
func show(p hub.Payload) string {
	return placeholders.ReplaceAllStringFunc(string(p.JSON), func(s string) string {
		n, _ := strconv.Atoi(placeholders.FindStringSubmatch(s)[1])
		return `{"$bin":"` + base64.StdEncoding.EncodeToString(p.Attachments[n]) + `"}`
	})
}

// Clients: n is on the Node.js node, in rooms r1 and x and the number 5; a on one Greenroom node, in r1, y and "5"; b on
// another, in r2 and y. Each answers `ask` with its name and what it was asked.
var matrixSteps = []matrixStep{
	{
		name: "all", js: `on.emit("e", 1, "two", {three: [null, true]})`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) {
			return emits(ns.To().Emit("e", 1, "two", json.RawMessage(`{"three":[null,true]}`)))
		},
		want: gets("n a b", `["e",1,"two",{"three":[null,true]}]`),
	},
	{
		name: "room", js: `on.to("r1").emit("e", "é 😀")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("r1").Emit("e", "é 😀")) },
		want: gets("n a", `["e","é 😀"]`),
	},
	{
		name: "rooms", js: `on.to("x").to("y").to("nobody").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("x").To("y").To("nobody").Emit("e")) },
		want: gets("n a b", `["e"]`),
	},
	{
		name: "except", js: `on.except("y").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To().Except("y").Emit("e")) },
		want: gets("n", `["e"]`),
	},
	{
		name: "room except", js: `on.to("r1").except("x").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("r1").Except("x").Emit("e")) },
		want: gets("a", `["e"]`),
	},
	{
		name: "volatile", js: `on.to("y").volatile.emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("y").Volatile().Emit("e")) },
		want: gets("a b", `["e"]`),
	},
	{
		name: "compress", js: `on.to("y").compress(false).emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("y").Compress(false).Emit("e")) },
		want: gets("a b", `["e"]`),
	},
	{
		name: "binary", js: `on.emit("e", Buffer.from([1]), {deep: [Buffer.from([2, 255])]}, "z")`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) {
			return emits(ns.To().Emit("e", []byte{1}, map[string]any{"deep": []any{[]byte{2, 255}}}, "z"))
		},
		want: gets("n a b", `["e",{"$bin":"AQ=="},{"deep":[{"$bin":"Av8="}]},"z"]`),
	},
	{
		// Not from 2^64 on: notepack.io writes other numbers then.
		name: "numbers", js: `on.emit("e", 127, 128, 65536, 4294967296, 2 ** 53, -1, -33, -129, -(2 ** 40), 1.5, 1e-7, 5e-324)`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) {
			return emits(ns.To().Emit("e", 127, 128, 65536, 1<<32, 1<<53, -1, -33, -129, -(1 << 40), 1.5, 1e-7, 5e-324))
		},
		want: gets("n a b", `["e",127,128,65536,4294967296,9007199254740992,-1,-33,-129,-1099511627776,1.5,1e-7,5e-324]`),
	},
	{
		// What JavaScript has beside JSON arrives as JSON.stringify writes it.
		name: "dates", js: `on.emit("e", undefined, new Date(1.5e12), {u: undefined, k: -0})`, emitter: true, differs: true, // Go has no such values
		do: func(ns *hub.Namespace) (any, error) {
			return emits(ns.To().Emit("e", nil, "2017-07-14T02:40:00.000Z", json.RawMessage(`{"k":0}`)))
		},
		want: gets("n a b", `["e",null,"2017-07-14T02:40:00.000Z",{"k":0}]`),
	},
	{
		name: "number as a room", js: `on.to(5).emit("e")`, emitter: true, differs: true, // Greenroom addresses both the number and the text
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("5").Emit("e")) },
		want: gets("n a", `["e"]`),
	},
	{
		name: "room with marks", js: `on.to("a#b*?[c]").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("a#b*?[c]").Emit("e")) },
		want: gets("b", `["e"]`),
	},
	{
		name: "many keys", emitter: true,
		js: `on.to("y").emit("e", Object.fromEntries(Array.from({length: 17}, (_, i) => ["k" + i, "v".repeat(40)])))`,
		do: func(ns *hub.Namespace) (any, error) {
			var keys []string
			for i := range 17 {
				keys = append(keys, fmt.Sprintf(`"k%d":"%s"`, i, strings.Repeat("v", 40)))
			}
			return emits(ns.To("y").Emit("e", json.RawMessage("{"+strings.Join(keys, ",")+"}")))
		},
		want: func() map[string][]string {
			var keys []string
			for i := range 17 {
				keys = append(keys, fmt.Sprintf(`"k%d":"%s"`, i, strings.Repeat("v", 40)))
			}
			return gets("a b", `["e",{`+strings.Join(keys, ",")+`}]`)
		}(),
	},
	{
		name: "ask all", js: `(await on.timeout(20000).emitWithAck("ask", 1)).sort()`,
		do: func(ns *hub.Namespace) (any, error) {
			return answersOf(ns.To().Within(20*time.Second).Ask("ask", 1))
		},
		want: gets("n a b", `["ask",1]`), result: map[string]string{"": `[["a",1],["b",1],["n",1]]`},
	},
	{
		name: "ask a room, binary", js: `(await on.to("r1").timeout(20000).emitWithAck("ask", Buffer.from([7]))).sort()`,
		do: func(ns *hub.Namespace) (any, error) {
			return answersOf(ns.To("r1").Within(20*time.Second).Ask("ask", []byte{7}))
		},
		want: gets("n a", `["ask",{"$bin":"Bw=="}]`), result: map[string]string{"": `[["a",{"$bin":"Bw=="}],["n",{"$bin":"Bw=="}]]`},
	},
	{
		name: "ask nobody", js: `await on.to("nobody").timeout(20000).emitWithAck("ask")`,
		do: func(ns *hub.Namespace) (any, error) {
			return answersOf(ns.To("nobody").Within(20 * time.Second).Ask("ask"))
		},
		result: map[string]string{"": `[]`},
	},
	{
		name: "join", js: `on.in("y").socketsJoin("j1")`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) { return emits(ns.In("y").Join("j1")) },
	},
	{
		name: "joined", js: `on.to("j1").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("j1").Emit("e")) },
		want: gets("a b", `["e"]`),
	},
	{
		name: "leave", js: `on.in("j1").except("r1").socketsLeave("j1")`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) {
			ns.In("j1").Except("r1").Leave("j1")
			return nil, nil
		},
	},
	{
		name: "left", js: `on.to("j1").emit("e")`, emitter: true,
		do:   func(ns *hub.Namespace) (any, error) { return emits(ns.To("j1").Emit("e")) },
		want: gets("a", `["e"]`),
	},
	{
		name: "leave all", js: `on.socketsLeave("j1")`, emitter: true,
		do: func(ns *hub.Namespace) (any, error) {
			ns.To().Leave("j1")
			return nil, nil
		},
	},
	{
		name: "sessions",
		js: `(await on.in("y").in("x").fetchSockets()).map((s) => [s.data.name, [...s.rooms].filter((r) => r !== s.id && r !== 5).sort(),
			s.handshake.query.EIO, s.handshake.auth.data.name, s.handshake.issued > 1e12, s.handshake.address.includes("127.0.0.1"),
			s.handshake.headers.host.startsWith("127.0.0.1"), s.handshake.url.startsWith("/socket.io/"), new Date(s.handshake.time) > 0]).sort()`,
		do: func(ns *hub.Namespace) (any, error) {
			snaps, err := ns.In("y").To("x").Sessions()
			var list []any
			for _, s := range snaps {
				var auth struct{ Data struct{ Name string } }
				_ = json.Unmarshal(s.Handshake.Auth, &auth)
				name := auth.Data.Name
				if raw, ok := s.Data.(json.RawMessage); ok {
					var data struct{ Name string }
					_ = json.Unmarshal(raw, &data)
					name = data.Name
				} else if data, ok := s.Data.(map[string]any); ok {
					name, _ = data["name"].(string)
				}
				rooms := slices.DeleteFunc(slices.Sorted(slices.Values(s.Rooms)), func(r string) bool { return r == "5" && name == "n" })
				list = append(list, []any{name, rooms, s.Handshake.Query().Get("EIO"), auth.Data.Name, s.Handshake.Issued.UnixMilli() > 1e12,
					strings.Contains(s.Handshake.RemoteAddr, "127.0.0.1"), strings.HasPrefix(s.Handshake.Header().Get("Host"), "127.0.0.1"),
					strings.HasPrefix(s.Handshake.URL, "/socket.io/"), true})
			}
			slices.SortFunc(list, func(x, y any) int { return strings.Compare(x.([]any)[0].(string), y.([]any)[0].(string)) })
			return list, err
		},
		result: map[string]string{"": `[["a",["5","r1","y"],"4","a",true,true,true,true,true],` +
			`["b",["a#b*?[c]","r2","y"],"4","b",true,true,true,true,true],["n",["r1","x"],"4","n",true,true,true,true,true]]`},
	},
	{
		name: "all rooms", js: `[...(await on.of("/").adapter.allRooms())].map(String).filter((r) => r.length < 20).sort().filter((r, i, all) => r !== all[i - 1])`,
		do: func(ns *hub.Namespace) (any, error) {
			rooms, err := ns.AllRooms(20 * time.Second)
			return slices.DeleteFunc(rooms, func(r string) bool { return len(r) >= 20 }), err
		},
		result: map[string]string{"": `["5","a#b*?[c]","r1","r2","x","y"]`},
	},
	{
		name: "server event answered", js: `(await on.serverSideEmitWithAck("sse", {k: [1]})).sort()`,
		do: func(ns *hub.Namespace) (any, error) {
			return answersOf(ns.ServerAsk(20*time.Second, "sse", json.RawMessage(`{"k":[1]}`)))
		},
		result: map[string]string{"node": `[["go",{"k":[1]}],["go",{"k":[1]}]]`, "go": `[["go",{"k":[1]}],["node",{"k":[1]}]]`},
	},
}

// TestMatrix has each kind of node do everything to all the others, and compares what clients got, and what was on the
// wire: a Greenroom node says what a Node.js node says.
func TestMatrix(t *testing.T) {
	r := testenv.StartRedis(t)
	for _, mode := range matrixModes {
		t.Run(mode.name, func(t *testing.T) { runMatrix(t, r, mode) })
	}
}

func runMatrix(t *testing.T, r *testenv.Redis, mode matrixMode) {
	m := newMatrix(t, r, mode)
	wire := make(map[string][]string) // by step, of the Node.js node
	for _, asker := range []string{"node", "go", "emitter"} {
		if asker == "emitter" && !m.mode.emitter {
			continue // it is not heard
		}
		for _, step := range matrixSteps {
			if asker == "node" && mode.adapter != "classic" && step.name == "all rooms" {
				continue // Node.js has it with the classic adapter only
			}
			if asker == "emitter" && (!mode.emitter || !step.emitter) {
				continue
			}
			t.Run(asker+" "+step.name, func(t *testing.T) {
				sent := m.step(t, asker, step)
				switch {
				case asker == "node":
					wire[step.name] = sent
				case asker == "go" && !step.differs && wire[step.name] != nil && !slices.Equal(unmarked(sent), wire[step.name]):
					t.Errorf("a Greenroom node sends\n%q, a Node.js node\n%q", sent, wire[step.name])
				}
			})
		}
		t.Run(asker+" server event", func(t *testing.T) { m.serverEvent(t, asker) })
		t.Run(asker+" to sessions", func(t *testing.T) { m.direct(t, asker) })
		for _, closing := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s disconnect close=%v", asker, closing), func(t *testing.T) { m.disconnect(t, asker, closing) })
		}
	}
	for reason, n := range m.nodes[0].hub.Counters() {
		if strings.HasPrefix(reason, "redis_") && n > 0 {
			t.Errorf("a Greenroom node has counted %s %d times", reason, n)
		}
	}
}

// matrix is a cluster of one Node.js node and two Greenroom nodes.
type matrix struct {
	mode    matrixMode
	peer    *testenv.Peer
	nodes   [2]*goNode
	ids     map[string]string // of clients' sessions
	monitor *monitor
	marks   int
}

func newMatrix(t *testing.T, r *testenv.Redis, mode matrixMode) *matrix {
	m := &matrix{mode: mode, ids: make(map[string]string), peer: peerNode(t, r, mode.adapter, mode.peer)}
	o := mode.options
	o.URL = r.URL()
	for i, name := range []string{"a", "b"} {
		m.nodes[i] = newGoNode(t, name, o)
	}
	m.client("n", m.peer.URL, "r1", "x")
	m.client("a", m.nodes[0].url, "r1", "y", "5")
	m.client("b", m.nodes[1].url, "r2", "y", "a#b*?[c]")
	m.peer.Run(`clients.n.emitWithAck("join", 5)`)
	m.monitor = startMonitor(t, r)
	return m
}

func (m *matrix) client(name, url string, rooms ...string) {
	m.ids[name] = m.peer.Client(testenv.PeerClient{
		Name: name, URL: url, Answer: fmt.Sprintf(`(event, ...args) => event === "ask" ? [%q, ...args] : undefined`, name),
		Options: map[string]any{"auth": map[string]any{"rooms": rooms, "data": map[string]any{"name": name}}, "reconnection": false},
	})
}

// run does something as one of the nodes, or as an emitter.
func (m *matrix) run(t *testing.T, asker, js string, do func(ns *hub.Namespace) (any, error)) string {
	t.Helper()
	switch asker {
	case "node":
		return m.peer.Run("await (async (on) => " + expression(js) + ")(io)")
	case "emitter":
		return m.peer.Run("await (async (on) => " + expression(js) + ")(emitter)")
	}
	out, err := do(m.nodes[0].hub.Of("/"))
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(out)
	if err != nil {
		t.Fatal(err)
	}
	return unescapeHTML(string(text))
}

func expression(js string) string { return "(" + js + ")" }

// unescapeHTML undoes what json.Marshal does beyond JSON.stringify.
func unescapeHTML(s string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(s)
}

// step runs one step and returns what was sent for it, without what differs each time.
func (m *matrix) step(t *testing.T, asker string, step matrixStep) (sent []string) {
	m.peer.Forget()
	m.monitor.forget()
	result := m.run(t, asker, step.js, step.do)
	want, some := step.result[asker]
	if !some {
		want, some = step.result[""]
	}
	if some && result != want {
		t.Errorf("the result is %s, want %s", result, want)
	}
	m.settle(t, asker)
	for name := range maps.Keys(m.ids) {
		if got, want := m.heard(name), step.want[name]; !slices.Equal(got, want) {
			t.Errorf("client %s got %q, want %q", name, got, want)
		}
	}
	return m.sent(t)
}

// heard is what a client got but for the marks of settle.
func (m *matrix) heard(name string) (events []string) {
	for _, ev := range m.peer.Heard(name) {
		if !strings.HasPrefix(ev, `["mark"`) {
			events = append(events, ev)
		}
	}
	return events
}

// settle waits until what asker has sent so far has come to all clients: what it sends now comes behind.
func (m *matrix) settle(t *testing.T, asker string) {
	t.Helper()
	m.marks++
	mark := fmt.Sprintf(`["mark",%d]`, m.marks)
	m.run(t, asker, fmt.Sprintf(`on.emit("mark", %d)`, m.marks), func(ns *hub.Namespace) (any, error) { return emits(ns.To().Emit("mark", m.marks)) })
	for name := range m.ids {
		m.peer.Wait("the mark at client "+name, func() bool { return slices.Contains(m.peer.Heard(name), mark) })
	}
}

// sent lists what was sent since the step has begun, but for marks and answers.
func (m *matrix) sent(t *testing.T) (list []string) {
	t.Helper()
	m.monitor.wait(t, string(msgp.AppendInt([]byte("\xa4mark"), m.marks)), fmt.Sprintf(`["mark",%d]`, m.marks))
	for _, c := range m.monitor.commands() {
		if !slices.Contains([]string{"PUBLISH", "SPUBLISH", "XADD"}, strings.ToUpper(c[0])) || m.mode.answers(c[1], c[len(c)-1]) {
			continue
		}
		if strings.Contains(c[1], "-greenroom#") {
			continue // names of nodes
		}
		if body := c[len(c)-1]; m.mode.name == "streams" && body != "" && body[0]&0xf0 == 0x80 { // a map
			var r msgpack.Reader
			r.MaxDepth, r.MaxBinaries = maxDepth, maxBinaries
			if _, err := r.Read([]byte(body)); err != nil {
				t.Fatal(err)
			}
			c[len(c)-1] = fmt.Sprint(string(r.Text), r.Binaries)
		}
		line := normal(strings.Join(c, " "), m.ids)
		if !strings.Contains(line, "mark") {
			list = append(list, line)
		}
	}
	return list
}

// What is different each time, or Greenroom's own.
var (
	idsJSON    = regexp.MustCompile(`"(uid|requestId)":"[^"]*"`)
	idsMsgpack = regexp.MustCompile(`(?s)(\xa3uid|\xa9requestId)(\xa6.{6}|\xb0.{16})`)
	idClassic  = regexp.MustCompile(`(?s) \x93\xa6.{6}`)
	idsStream  = regexp.MustCompile(` uid [0-9a-f]{16}( n \d+)? `)
	ownJSON    = regexp.MustCompile(`,"(greenroom":1|reason":"[^"]*")`)
	ownOnly    = regexp.MustCompile(`"greenroom":1,?`)
)

func normal(s string, ids map[string]string) string {
	for name, id := range ids {
		s = strings.ReplaceAll(s, id, "<"+name+">")
	}
	runes := make([]rune, 0, len(s)) // of which each is a byte: regular expressions match no others
	for i := range len(s) {
		runes = append(runes, rune(s[i]))
	}
	s = string(runes)
	s = idsJSON.ReplaceAllString(s, `"$1":"…"`)
	s = idsMsgpack.ReplaceAllString(s, "$1…")
	s = idClassic.ReplaceAllString(s, " [uid…")
	s = idsStream.ReplaceAllString(s, " uid … ")
	s = ownJSON.ReplaceAllString(s, "")
	s = ownOnly.ReplaceAllString(s, "")
	if own := "\u00a9greenroom\x01"; strings.HasSuffix(s, own) { // a map has one key more for it
		s = strings.TrimSuffix(s, own)
		s = strings.Replace(s, " \u0086", " \u0085", 1)
	}
	return s
}

// serverEvent has all other nodes hear an event.
func (m *matrix) serverEvent(t *testing.T, asker string) {
	m.peer.Forget()
	for _, n := range m.nodes {
		n.served.forget()
	}
	m.run(t, asker, `on.serverSideEmit("sse", "x")`, func(ns *hub.Namespace) (any, error) { return emits(ns.ServerEmit("sse", "x")) })
	m.settle(t, asker)
	want := map[string]int{"node": 1, "a": 1, "b": 1}
	switch asker {
	case "node":
		want["node"] = 0
	case "go":
		want["a"] = 0
	}
	served := func() map[string]int {
		return map[string]int{"node": len(m.peer.Served()), "a": m.nodes[0].served.len(), "b": m.nodes[1].served.len()}
	}
	within(t, fmt.Sprintf("the event at the nodes %v", want), func() bool { return maps.Equal(served(), want) })
}

// direct addresses each session by its id.
func (m *matrix) direct(t *testing.T, asker string) {
	m.peer.Forget()
	for name, id := range m.ids {
		m.run(t, asker, fmt.Sprintf(`on.to(%q).emit("you", %q)`, id, name), func(ns *hub.Namespace) (any, error) { return emits(ns.To(id).Emit("you", name)) })
	}
	m.settle(t, asker)
	for name := range m.ids {
		if got, want := m.heard(name), []string{fmt.Sprintf(`["you",%q]`, name)}; !slices.Equal(got, want) {
			t.Errorf("client %s got %q", name, got)
		}
	}
}

// disconnect ends sessions on all nodes, and leaves others.
func (m *matrix) disconnect(t *testing.T, asker string, closing bool) {
	urls := map[string]string{"n": m.peer.URL, "a": m.nodes[0].url, "b": m.nodes[1].url}
	prefix := fmt.Sprintf("%s-%v-", asker, closing)
	for name, url := range urls {
		m.peer.Client(testenv.PeerClient{Name: prefix + name, URL: url, Options: map[string]any{
			"auth": map[string]any{"rooms": []string{"out"}}, "reconnection": false,
		}})
	}
	m.run(t, asker, fmt.Sprintf(`on.in("out").disconnectSockets(%v)`, closing), func(ns *hub.Namespace) (any, error) {
		if closing {
			ns.In("out").CloseConn(nodeDisconnect)
		} else {
			ns.In("out").Disconnect(nodeDisconnect)
		}
		return nil, nil
	})
	for name := range urls {
		m.peer.Wait("the end of client "+prefix+name, func() bool { return len(m.peer.States(prefix+name)) == 2 })
		if s := m.peer.States(prefix + name)[1]; s.State != "disconnect" || s.Reason != "io server disconnect" {
			t.Errorf("client %s: %+v", name, s)
		}
		if states := m.peer.States(name); len(states) != 1 {
			t.Errorf("client %s: %+v", name, states)
		}
	}
}

// monitor records the commands that a Redis gets, by its MONITOR.
type monitor struct {
	mu    sync.Mutex
	lines [][]string
}

func startMonitor(t *testing.T, r *testenv.Redis) *monitor {
	t.Helper()
	conn, err := net.Dial("tcp", r.Addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Write([]byte("MONITOR\r\n")); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || line != "+OK\r\n" {
		t.Fatalf("MONITOR: %q, %v", line, err)
	}
	m, done := new(monitor), make(chan struct{})
	go func() {
		defer close(done)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			m.mu.Lock()
			m.lines = append(m.lines, monitorWords(line))
			m.mu.Unlock()
		}
	}()
	t.Cleanup(func() {
		_ = conn.Close()
		<-done
	})
	return m
}

// monitorWords takes `+1.5 [0 127.0.0.1:1] "PUBLISH" "c" "\x93"` apart.
func monitorWords(line string) (words []string) {
	_, rest, _ := strings.Cut(line, "] ")
	for rest = strings.TrimSpace(rest); rest != ""; rest = strings.TrimSpace(rest) {
		quoted, err := strconv.QuotedPrefix(rest)
		if err != nil {
			return words
		}
		word, _ := strconv.Unquote(quoted)
		words = append(words, word)
		rest = rest[len(quoted):]
	}
	return words
}

func (m *monitor) forget() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.lines = nil
}

func (m *monitor) commands() (list [][]string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, c := range m.lines {
		if len(c) >= 3 {
			list = append(list, c)
		}
	}
	return list
}

// wait waits until a command's last word has one of the texts.
func (m *monitor) wait(t *testing.T, texts ...string) {
	t.Helper()
	within(t, "the mark on the wire", func() bool {
		return slices.ContainsFunc(m.commands(), func(c []string) bool {
			return slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(c[len(c)-1], s) })
		})
	})
}
