//go:build unix

package redis

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"os"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/socketio"
)

// streamsNodeEnv has the test's program be a node, to be killed: the address of Redis, and the node's name.
const streamsNodeEnv = "GREENROOM_TEST_STREAMS_NODE"

func init() {
	if args := os.Getenv(streamsNodeEnv); args != "" {
		url, name, _ := strings.Cut(args, " ")
		if err := beStreamsNode(url, name); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		os.Exit(0)
	}
}

// beStreamsNode serves clients until the input ends, or the process does.
func beStreamsNode(url, name string) error {
	a, err := New(Options{URL: url, Adapter: Streams})
	if err != nil {
		return err
	}
	h, err := hub.New(hub.Options{Node: name, Adapter: a, Recovery: &hub.Recovery{}, Loops: 1})
	if err != nil {
		return err
	}
	if err := h.Handle("/", serveAsPeers); err != nil {
		return err
	}
	web := httptest.NewServer(socketio.New(h, socketio.Options{}))
	for a.Ready() != nil {
		time.Sleep(time.Millisecond)
	}
	fmt.Println(web.URL)
	_, err = io.Copy(io.Discard, os.Stdin)
	return err
}

// killable is a node in a process of its own.
type killable struct {
	cmd *exec.Cmd
	url string
}

func newKillable(t testing.TB, r *testenv.Redis, name string) *killable {
	t.Helper()
	k := &killable{cmd: exec.Command(os.Args[0])}
	k.cmd.Env = append(os.Environ(), streamsNodeEnv+"="+r.URL()+" "+name)
	k.cmd.Stderr = os.Stderr
	in, err := k.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := k.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := k.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = in.Close()
		k.kill()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	k.url = strings.TrimSpace(line)
	return k
}

func (k *killable) kill() {
	_ = k.cmd.Process.Kill()
	_ = k.cmd.Wait()
}

func emit(t testing.TB, to hub.Target, event string, args ...any) {
	t.Helper()
	if err := to.Emit(event, args...); err != nil {
		t.Fatal(err)
	}
}

// front is the address that clients know, in front of one node after another.
type front struct {
	url    string
	ln     net.Listener
	target atomic.Pointer[string]
	wg     sync.WaitGroup

	mu    sync.Mutex
	conns map[net.Conn]bool
}

func newFront(t testing.TB, target string) *front {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &front{url: "http://" + ln.Addr().String(), ln: ln, conns: make(map[net.Conn]bool)}
	f.to(target)
	f.wg.Go(func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			f.wg.Go(func() { f.serve(c) })
		}
	})
	t.Cleanup(func() {
		_ = ln.Close()
		f.cut()
		f.wg.Wait()
	})
	return f
}

func (f *front) to(url string) {
	url = strings.TrimPrefix(url, "http://")
	f.target.Store(&url)
}

// cut breaks the connections that there are.
func (f *front) cut() {
	f.mu.Lock()
	defer f.mu.Unlock()
	for c := range f.conns {
		_ = c.Close()
	}
}

func (f *front) serve(c net.Conn) {
	defer c.Close()
	f.mu.Lock()
	f.conns[c] = true
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		delete(f.conns, c)
	}()
	d, err := net.Dial("tcp", *f.target.Load())
	if err != nil {
		return
	}
	defer d.Close()
	var both sync.WaitGroup
	pipe := func(dst, src net.Conn) {
		_, _ = io.Copy(dst, src)
		_ = dst.Close()
		_ = src.Close()
	}
	both.Go(func() { pipe(c, d) })
	both.Go(func() { pipe(d, c) })
	both.Wait()
}

// streamsGo is a Greenroom node with the streams adapter and recovery.
func streamsGo(t testing.TB, r *testenv.Redis, name string) *goNode {
	t.Helper()
	return newGoNodeWith(t, Options{URL: r.URL(), Adapter: Streams}, hub.Options{Node: name, Recovery: &hub.Recovery{}})
}

// quickClient is one that comes back soon, and is in room r.
func quickClient(name, url string) testenv.PeerClient {
	return testenv.PeerClient{Name: name, URL: url, Options: map[string]any{
		"reconnectionDelay": 20, "reconnectionDelayMax": 100, "auth": map[string]any{"rooms": []string{"r"}, "data": map[string]any{"n": 1}},
	}}
}

// numbers are those of the events "n" that a client has got.
func numbers(t testing.TB, heard []string) (list []int) {
	t.Helper()
	for _, text := range heard {
		var ev []json.RawMessage
		if err := json.Unmarshal([]byte(text), &ev); err != nil {
			t.Fatal(err)
		}
		if string(ev[0]) != `"n"` {
			continue
		}
		var n int
		if err := json.Unmarshal(ev[1], &n); err != nil {
			t.Fatal(err)
		}
		list = append(list, n)
	}
	return list
}

func counted(n int) (list []int) {
	for i := range n {
		list = append(list, i)
	}
	return list
}

// A client of a Greenroom node that is killed, in the middle of messages of two nodes, comes back to another one with
// its rooms and data, every message exactly once and in order.
func TestStreamsKilledNode(t *testing.T) {
	r := testenv.StartRedis(t)
	k := newKillable(t, r, "killed")
	b := streamsGo(t, r, "b")
	f := newFront(t, k.url)
	js := testenv.NewPeer(t)
	id := js.Client(quickClient("c", f.url))
	js.Run(`await clients.c.timeout(60000).emitWithAck("data", {user: "u"})`)
	js.Run(`await clients.c.timeout(60000).emitWithAck("join", "later")`)
	emit(t, b.hub.To(), "first")
	js.WaitHeard("c", 1)
	key := func() bool { // it is saved with both
		list := strings.Fields(r.Do("KEYS", "sio:session:*"))
		if len(list) != 1 {
			return false
		}
		st, err := readSession(strings.TrimSpace(r.Do("GET", list[0])))
		return err == nil && slices.Contains(st.Rooms, "later") && strings.Contains(string(st.Data.JSON), `"u"`)
	}
	within(t, "the session to be saved", key)
	const all = 300
	for i := range all {
		emit(t, b.hub.To([]string{"r", "later", id}[i%3]), "n", i)
		if i == 100 {
			js.WaitHeard("c", 50)
			f.to(b.url)
			k.kill()
		}
		if i%10 == 0 {
			time.Sleep(time.Millisecond)
		}
	}
	js.Wait("all messages", func() bool { return len(numbers(t, js.Heard("c"))) >= all })
	if got := numbers(t, js.Heard("c")); !slices.Equal(got, counted(all)) {
		t.Errorf("got %v", got)
	}
	states := js.States("c")
	if last := states[len(states)-1]; !last.Recovered || last.ID != id {
		t.Errorf("states %+v; counted %v", states, b.hub.Counters())
	}
	var data any
	list, err := b.hub.To(id).Local().Sessions()
	if err != nil || len(list) != 1 {
		t.Fatal(list, err)
	}
	data = list[0].Data
	if m, _ := data.(map[string]any); m["user"] != "u" || !slices.Contains(list[0].Rooms, "later") {
		t.Errorf("rooms %q, data %v", list[0].Rooms, data)
	}
}

// A client comes back from Node.js to Greenroom, and the other way round, again and again, with messages of both
// meanwhile. Nothing on Redis has its usual name.
func TestStreamsFromNodeAndBack(t *testing.T) {
	r := testenv.StartRedis(t)
	node := testenv.NewPeer(t)
	node.Serve(testenv.PeerNode{
		Redis: r.URL(), Adapter: "streams", Options: map[string]any{"channelPrefix": "asks", "streamName": "emits", "sessionKeyPrefix": "kept:"},
		Server: map[string]any{"connectionStateRecovery": map[string]any{}},
	})
	o := Options{URL: r.URL(), Adapter: Streams, Prefix: "asks", StreamName: "emits", SessionPrefix: "kept:"}
	g := newGoNodeWith(t, o, hub.Options{Node: "g", Recovery: &hub.Recovery{}})
	f := newFront(t, node.URL)
	js := testenv.NewPeer(t)
	id := js.Client(quickClient("c", f.url))
	if found, err := g.hub.To().Sessions(); err != nil || len(found) != 1 {
		t.Fatalf("sessions %+v, %v", found, err)
	}
	n := 0
	say := func(hears bool) {
		for range 3 {
			emit(t, g.hub.To("r"), "n", n, []byte{1, byte(n)})
			if hears { // or Node.js sends its own first, and its client comes back with a place in front of what it has had
				js.Wait("the client to hear", func() bool { return len(numbers(t, js.Heard("c"))) > n })
			}
			node.Run(`io.to("r").emit("n", args[0], Buffer.from([7]))`, n+1) // it has its place when that returns
			within(t, "the stream to hold them", func() bool { return strings.TrimSpace(r.Do("XLEN", "emits")) == fmt.Sprint(n+2) })
			n += 2
		}
	}
	for i, url := range []string{g.url, node.URL, g.url, node.URL} {
		say(true)
		js.Wait(fmt.Sprint(n, " messages"), func() bool { return len(numbers(t, js.Heard("c"))) >= n })
		saved := func() bool {
			list := strings.Fields(r.Do("KEYS", "kept:*"))
			if len(list) != 1 {
				return false
			}
			st, err := readSession(strings.TrimSpace(r.Do("GET", list[0])))
			return err == nil && slices.Contains(st.Rooms, "r")
		}
		f.to("http://127.0.0.1:1") // nowhere
		f.cut()
		within(t, "the session to be saved", saved)
		say(false)
		f.to(url)
		js.Wait("the client to be back", func() bool { return connects(js.States("c")) == i+2 })
		js.Wait(fmt.Sprint(n, " messages"), func() bool { return len(numbers(t, js.Heard("c"))) >= n })
		states := js.States("c")
		if last := states[len(states)-1]; !last.Recovered || last.ID != id {
			t.Fatalf("to %s: states %+v; counted %v", url, states, g.hub.Counters())
		}
	}
	got := numbers(t, js.Heard("c"))
	slices.Sort(got) // Node.js sends its own before others' that it has not read
	// Of which one then is the client's offset, in front of Node.js' own: that comes once more.
	got = slices.CompactFunc(got, func(a, b int) bool { return a == b && a%2 == 1 })
	if !slices.Equal(got, counted(n)) {
		t.Errorf("got %v", got)
	}
	if c := g.hub.Counters(); c[reasonStreamBad]+c[reasonBadSession] > 0 {
		t.Errorf("counted %v", c)
	}
}

func connects(states []testenv.PeerState) (n int) {
	for _, s := range states {
		if s.State == "connect" {
			n++
		}
	}
	return n
}

// While Redis hangs, a node's own clients are served; afterwards all nodes have everything once, in one order.
func TestStreamsRedisHangs(t *testing.T) {
	r := testenv.StartRedis(t)
	a, b := streamsGo(t, r, "a"), streamsGo(t, r, "b")
	js := testenv.NewPeer(t)
	js.Client(quickClient("a", a.url))
	js.Client(quickClient("b", b.url))
	n := 0
	say := func(many int) {
		for range many {
			emit(t, a.hub.To("r"), "n", n)
			n++
		}
	}
	heard := func(client string) func() bool {
		return func() bool { return len(numbers(t, js.Heard(client))) >= n }
	}
	say(50)
	js.Wait("b to hear", heard("b"))
	r.Freeze()
	say(2000)
	js.Wait("a to hear while Redis hangs", heard("a"))
	time.Sleep(hangs)
	say(2000)
	js.Wait("a to hear while Redis hangs", heard("a"))
	if len(numbers(t, js.Heard("b"))) > 50 {
		t.Error("b has heard it")
	}
	r.Thaw()
	js.Wait("b to hear", heard("b"))
	say(50)
	js.Wait("b to hear", heard("b"))
	js.Wait("a to hear", heard("a"))
	for _, client := range []string{"a", "b"} {
		if got := numbers(t, js.Heard(client)); !slices.Equal(got, counted(n)) {
			t.Errorf("%s got %d of %d, in disorder or twice", client, len(got), n)
		}
	}
	if x := a.hub.Counters(); x[reasonStreamEarly] == 0 || x[reasonStreamDouble]+x[reasonStreamMissing] > 0 {
		t.Errorf("counted %v", x)
	}
	// The offsets are places again, which any node knows.
	js.Wait("a plain offset", func() bool {
		emit(t, a.hub.To("r"), "n", n)
		n++
		js.Wait("a to hear", heard("a"))
		list := js.Heard("a")
		return !strings.Contains(list[len(list)-1], "+")
	})
}

// A Redis that has come back empty is noticed also by a node that finds it with more entries than there were before.
func TestStreamsRedisWasEmptied(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	p := newProxy(t, r.Addr)
	h, a := relayNode(t, "a", Options{URL: p.url(), Adapter: Streams})
	client := relayClient(t, h, `{}`)
	add := func(n int) {
		t.Helper()
		for range n {
			r.Do("XADD", "socket.io", "*", "uid", "other", "nsp", "/", "type", "3", "data", `{"packet":{"type":2,"data":["n"]},"opts":{"rooms":[],"except":[],"flags":{}}}`)
		}
	}
	heard := func(n int) {
		t.Helper()
		within(t, "what was added", func() bool { return strings.Count(client.heard(), `"n"`) == n })
	}
	add(2)
	heard(2)
	p.cut()
	r.Kill()
	r.Restart()
	add(5)
	p.heal()
	within(t, "ready", func() bool { return a.Ready() == nil })
	within(t, "the gap", func() bool { return h.Counters()[reasonStreamGap] == 1 })
	heard(7) // of those all are new
}

// hangs is longer than Redis may take to answer: connections are given up.
const hangs = 4 * time.Second

// A Redis that is killed and comes back with nothing is a gap, which is counted; what nodes have not told it yet is told.
func TestStreamsRedisRestartsEmpty(t *testing.T) {
	r := testenv.StartRedis(t)
	a, b := streamsGo(t, r, "a"), streamsGo(t, r, "b")
	js := testenv.NewPeer(t)
	js.Client(quickClient("a", a.url))
	js.Client(quickClient("b", b.url))
	heard := func(client string, n int) {
		t.Helper()
		js.Wait(fmt.Sprint(n, " to be heard by ", client), func() bool { return len(numbers(t, js.Heard(client))) >= n })
	}
	for i := range 10 {
		emit(t, a.hub.To("r"), "n", i)
	}
	heard("b", 10)
	r.Kill()
	for i := range 10 {
		emit(t, a.hub.To("r"), "n", 10+i)
	}
	heard("a", 20)
	r.Restart()
	heard("b", 20)
	for i := range 10 {
		emit(t, b.hub.To("r"), "n", 20+i)
	}
	heard("a", 30)
	heard("b", 30)
	for _, client := range []string{"a", "b"} {
		if got := numbers(t, js.Heard(client)); !slices.Equal(got, counted(30)) {
			t.Errorf("%s got %v", client, got)
		}
	}
	within(t, "the sessions to be saved again", func() bool { return len(strings.Fields(r.Do("KEYS", "sio:session:*"))) == 2 })
	for _, n := range []*goNode{a, b} {
		within(t, "the gap to be counted", func() bool { return n.hub.Counters()[reasonStreamGap] == 1 })
	}
}

// What is in the stream is what official adapters write, byte by byte, and n.
func TestStreamsWriteWhatOfficialAdaptersWrite(t *testing.T) {
	s := newStreams(Options{Prefix: "socket.io"})
	defer s.cancel()
	s.a = &Adapter{}
	s.uid = "189c5e807a9eec9f"
	payload := func(event string, args ...any) hub.Payload {
		p, err := hub.EncodeArgs(event, args...)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	for _, c := range []struct {
		r    hub.NodeRequest
		kind string
		data string
	}{
		{hub.NodeRequest{Payload: payload("hello", 1, "two", json.RawMessage(`{"three":[null,true]}`))}, "3", `{"packet":{"type":2,"data":["hello",1,"two",{"three":[null,true]}]},"opts":{"rooms":[],"except":[],"flags":{}}}`},
		{hub.NodeRequest{Payload: payload("r", "x"), Rooms: []string{"room1"}}, "3", `{"packet":{"type":2,"data":["r","x"]},"opts":{"rooms":["room1"],"except":[],"flags":{}}}`},
		{hub.NodeRequest{Payload: payload("te"), Rooms: []string{"room1"}, Except: []string{"room9"}}, "3", `{"packet":{"type":2,"data":["te"]},"opts":{"rooms":["room1"],"except":["room9"],"flags":{}}}`},
		{hub.NodeRequest{Payload: payload("v"), Volatile: true}, "3", `{"packet":{"type":2,"data":["v"]},"opts":{"rooms":[],"except":[],"flags":{"volatile":true}}}`},
		{hub.NodeRequest{Payload: payload("c"), Rooms: []string{"room1"}, NoCompress: true}, "3", `{"packet":{"type":2,"data":["c"]},"opts":{"rooms":["room1"],"except":[],"flags":{"compress":false}}}`},
		{hub.NodeRequest{Payload: payload("bin", []byte{1, 2, 255}), Rooms: []string{"room1"}}, "3", "gqZwYWNrZXSCpHR5cGUCpGRhdGGSo2JpbsQDAQL/pG9wdHODpXJvb21zkaVyb29tMaZleGNlcHSQpWZsYWdzgA=="},
		{hub.NodeRequest{Payload: payload("n"), Namespace: "/chat", Rooms: []string{"r é"}}, "3", `{"packet":{"type":2,"data":["n"]},"opts":{"rooms":["r é"],"except":[],"flags":{}}}`},
		{hub.NodeRequest{Op: hub.OpJoin, Room: "room2"}, "4", `{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["room2"]}`},
		{hub.NodeRequest{Op: hub.OpLeave, Rooms: []string{"room1"}, Room: "room3"}, "5", `{"opts":{"rooms":["room1"],"except":[],"flags":{}},"rooms":["room3"]}`},
		{hub.NodeRequest{Op: hub.OpDisconnect, Rooms: []string{"room1"}}, "6", `{"opts":{"rooms":["room1"],"except":[],"flags":{}},"close":false}`},
		{hub.NodeRequest{Op: hub.OpDisconnect, CloseConn: true}, "6", `{"opts":{"rooms":[],"except":[],"flags":{}},"close":true}`},
	} {
		if c.r.Namespace == "" {
			c.r.Namespace = "/"
		}
		args, _, err := s.xadd(&pendingEntry{n: 7, r: &c.r})
		if err != nil {
			t.Fatal(err)
		}
		var words []string
		values := map[string]any{}
		for i, a := range args {
			if b, ok := a.([]byte); ok {
				a = string(b)
			}
			words = append(words, fmt.Sprint(a))
			if i >= 6 && i%2 == 1 {
				values[words[i-1]] = words[i]
			}
		}
		want := []string{"XADD", "socket.io", "MAXLEN", "~", "10000", "*", "uid", s.uid, "n", "7", "nsp", c.r.Namespace, "type", c.kind, "data", c.data}
		if !slices.Equal(words, want) {
			t.Errorf("got  %q\nwant %q", words, want)
		}
		x := readStreamEntry(&goredis.XMessage{ID: "1795520204714-0", Values: values})
		list, bad := x.requests()
		if bad != nil || len(list) != 1 || x.n != 7 || x.place != (hub.Place{Time: 1795520204714}) {
			t.Errorf("%s: read as %+v: %v", c.data, x, bad)
			continue
		}
		back := *list[0]
		if c.r.Op == hub.OpDisconnect {
			c.r.Reason = "server namespace disconnect"
		}
		if got, want := fmt.Sprintf("%+v", back), fmt.Sprintf("%+v", c.r); got != want && strings.ReplaceAll(got, " ", "") != strings.ReplaceAll(want, " ", "") {
			t.Errorf("got  %s\nwant %s", got, want)
		}
	}
}

func TestStreamsLeaveOutWhatIsNotUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		values map[string]any
		bad    bool
		reason string
		none   bool
	}{
		"no namespace":   {values: map[string]any{"type": "3", "data": "{}"}, bad: true},
		"no type":        {values: map[string]any{"nsp": "/", "data": "{}"}, bad: true},
		"a heartbeat":    {values: map[string]any{"nsp": "/", "type": "2"}, none: true},
		"of tomorrow":    {values: map[string]any{"nsp": "/", "type": "200", "data": "?"}, none: true},
		"not JSON":       {values: map[string]any{"nsp": "/", "type": "3", "data": "{"}, reason: reasonStreamBad},
		"no data":        {values: map[string]any{"nsp": "/", "type": "3"}, reason: reasonStreamBad},
		"no packet":      {values: map[string]any{"nsp": "/", "type": "3", "data": "{}"}, reason: reasonStreamBad},
		"not base64":     {values: map[string]any{"nsp": "/", "type": "3", "data": "*"}, reason: reasonStreamBad},
		"not msgpack":    {values: map[string]any{"nsp": "/", "type": "3", "data": base64.StdEncoding.EncodeToString([]byte{0xc1})}, reason: reasonStreamBad},
		"the hub's room": {values: map[string]any{"nsp": "/", "type": "3", "data": `{"packet":{"type":2,"data":["e"]},"opts":{"rooms":["$user:x"],"except":[],"flags":{}}}`}, reason: reasonForbidden},
		"and a join":     {values: map[string]any{"nsp": "/", "type": "4", "data": `{"opts":{"rooms":[],"except":[],"flags":{}},"rooms":["$user:x"]}`}, reason: reasonForbidden},
	} {
		x := readStreamEntry(&goredis.XMessage{ID: "1-0", Values: c.values})
		if x.bad != c.bad {
			t.Errorf("%s: bad %v", name, x.bad)
		}
		if c.bad {
			continue
		}
		list, err := x.requests()
		if (err == nil) != (c.reason == "") || err != nil && err.reason != c.reason || c.none != (len(list) == 0 && err == nil) {
			t.Errorf("%s: %v, %v", name, list, err)
		}
	}
}

// What Node.js has saved, as it was captured, is understood, and what we save has its members and begins with our token.
func TestStreamsSessions(t *testing.T) {
	const captured = "hKNzaWS0T01tZEs5dWpWUUZvTWI5TEFBQUOjcGlktEZfM3lwUzhTRXNOcl9CR3FBQUFEpXJvb21zlLRPTW1kSzl1alZRRm9NYjlMQUFBQ6Vyb29tMaVyb29tMqVyb29tNKRkYXRhgaR1c2VyoUI="
	st, err := readSession(captured)
	if err != nil {
		t.Fatal(err)
	}
	if st.ID != "OMmdK9ujVQFoMb9LAAAC" || st.RecoveryID != "F_3ypS8SEsNr_BGqAAAD" || st.Token != "" || string(st.Data.JSON) != `[{"user":"B"}]` ||
		!slices.Equal(st.Rooms, []string{st.ID, "room1", "room2", "room4"}) {
		t.Errorf("%+v", st)
	}
	st.Token, st.Namespace, st.Last, st.Upto = "abcdefghijklmnopqrst", "/", "1-0", hub.Place{Time: 2, Count: 3}
	body, err := appendSession(nil, st)
	if err != nil {
		t.Fatal(err)
	}
	text := base64.StdEncoding.EncodeToString(body)
	back, err := readSession(text)
	if err != nil || fmt.Sprintf("%+v", back) != fmt.Sprintf("%+v", st) {
		t.Errorf("%+v: %v", back, err)
	}
	if !strings.HasPrefix(text, tokenPrefix(st.Token)) || strings.HasPrefix(text, tokenPrefix("abcdefghijklmnopqr__")) {
		t.Errorf("%s does not begin with its token alone", text)
	}
	for _, bad := range []string{"", "*", "gA==", base64.StdEncoding.EncodeToString(body[:len(body)-1]), base64.StdEncoding.EncodeToString(append(body, 0))} {
		if st, err := readSession(bad); err == nil {
			t.Errorf("%q: %+v", bad, st)
		}
	}
}
