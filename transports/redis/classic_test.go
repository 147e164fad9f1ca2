//go:build unix

package redis

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	goredis "github.com/redis/go-redis/v9"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// classicCluster is a Node.js node and a Greenroom node, with a client each in "room".
type classicCluster struct {
	redis *testenv.Redis
	peer  *testenv.Peer
	node  *goNode
	ids   map[string]string
	raw   *goredis.Client
}

func newClassicCluster(t *testing.T, namespaces ...string) *classicCluster {
	r := testenv.StartRedis(t)
	c := &classicCluster{redis: r, peer: peerNode(t, r, "classic", map[string]any{"requestsTimeout": 20_000}, namespaces...), ids: make(map[string]string)}
	c.node = newGoNode(t, "n0", Options{URL: r.URL()}, namespaces...)
	for name, url := range map[string]string{"there": c.peer.URL, "here": c.node.url} {
		c.ids[name] = c.peer.Client(testenv.PeerClient{
			Name: name, URL: url, Options: map[string]any{"auth": map[string]any{"rooms": []string{"room"}}, "reconnection": false},
		})
	}
	c.raw = goredis.NewClient(&goredis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.raw.Close() })
	return c
}

func (c *classicCluster) publish(t *testing.T, channel, body string) {
	t.Helper()
	if err := c.raw.Publish(context.Background(), channel, body).Err(); err != nil {
		t.Fatal(err)
	}
}

func (c *classicCluster) counted(t *testing.T, reason string, n uint64) {
	t.Helper()
	within(t, fmt.Sprintf("%s to be %d", reason, n), func() bool { return c.node.hub.Counters()[reason] >= n })
	if got := c.node.hub.Counters()[reason]; got != n {
		t.Errorf("%s is %d, want %d", reason, got, n)
	}
}

// works has both nodes reach both clients, and answer each other.
func (c *classicCluster) works(t *testing.T) {
	t.Helper()
	c.peer.Forget()
	c.peer.Run(`io.to("room").emit("a")`)
	if err := c.node.hub.To("room").Emit("b"); err != nil {
		t.Fatal(err)
	}
	for name := range c.ids {
		got := c.peer.WaitHeard(name, 2)
		slices.Sort(got)
		if !slices.Equal(got, []string{`["a"]`, `["b"]`}) {
			t.Errorf("client %s got %q", name, got)
		}
	}
	if got := c.peer.Run(`(await io.fetchSockets()).length`); got != "2" {
		t.Errorf("the Node.js node finds %s sockets", got)
	}
	if got, err := c.node.hub.To().Within(20 * time.Second).Sessions(); err != nil || len(got) != 2 {
		t.Errorf("the Greenroom node finds %d sessions, %v", len(got), err)
	}
}

// What is not of the format is dropped and counted, and harms nobody. The Node.js adapter throws on bad broadcasts, so
// those go where it does not listen.
func TestClassicHostile(t *testing.T) {
	r := testenv.StartRedis(t)
	c := &classicCluster{redis: r, node: newGoNode(t, "n0", Options{URL: r.URL()}, "/", "/a*b")}
	c.raw = goredis.NewClient(&goredis.Options{Addr: r.Addr})
	t.Cleanup(func() { _ = c.raw.Close() })
	peer := testenv.NewPeer(t)
	id := peer.Client(testenv.PeerClient{Name: "here", URL: c.node.url, Options: map[string]any{"auth": map[string]any{"rooms": []string{"room"}}, "reconnection": false}})
	peer.Client(testenv.PeerClient{Name: "odd", URL: c.node.url, Space: "/a*b", Options: map[string]any{"reconnection": false}})
	for _, body := range hostileBodies {
		for _, channel := range []string{"socket.io#/#", "socket.io#/#room#", "socket.io-request#/#", "socket.io-response#/#", "socket.io#", "socket.io#/", "socket.io#/a*b#", "socket.io#/axb#"} {
			c.publish(t, channel, body)
		}
	}
	if got := c.node.hub.Counters()[reasonMalformed]; got < 20 {
		within(t, "the messages to be counted", func() bool { return c.node.hub.Counters()[reasonMalformed] >= 20 })
	}
	within(t, "the forbidden ones to be counted", func() bool { return c.node.hub.Counters()[reasonForbidden] >= 2 })
	c.publish(t, "socket.io#/#", "\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa5fence\x80") // behind all of them
	peer.Wait("the fence", func() bool { return slices.Contains(peer.Heard("here"), `["fence"]`) })
	before := c.node.hub.Counters()
	c.publish(t, "socket.io-request#/#", `{"uid":"x","type":2,"opts":{"rooms":["room"],"except":[]},"rooms":["$user:root"]}`)
	c.publish(t, "socket.io-request#/#", `{"uid":"x","type":3,"opts":{"rooms":["$user:root"],"except":[]},"rooms":["room"]}`)
	c.publish(t, "socket.io#/#$user:root#", "\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\x91\xaa$user:root")
	c.publish(t, "socket.io#/#", "\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa1e\x81\xa5rooms\x91\xaa$user:root")
	c.publish(t, "socket.io-request#/#", `{"uid":"x","requestId":"r","type":2,"sid":"`+id+`","room":"$user:root"}`)
	c.counted(t, reasonForbidden, before[reasonForbidden]+4) // the third was not even looked at: nobody is there

	// Namespaces with marks of patterns hear their own messages alone.
	c.publish(t, "socket.io#/a*b#", "\x93\xa1x\x83\xa4type\x02\xa4data\x91\xa3odd\xa3nsp\xa4/a*b\x80")
	c.publish(t, "socket.io#/axb#", "\x93\xa1x\x83\xa4type\x02\xa4data\x91\xa3odd\xa3nsp\xa4/a*b\x80")
	c.publish(t, "socket.io#/#", "\x93\xa1x\x82\xa4type\x02\xa4data\x91\xa4last\x80")
	peer.Wait("the last message", func() bool { return slices.Contains(peer.Heard("here"), `["last"]`) })
	c.publish(t, "socket.io#/a*b#", "\x93\xa1x\x83\xa4type\x02\xa4data\x91\xa3end\xa3nsp\xa4/a*b\x80")
	peer.Wait("the end in the odd namespace", func() bool { return slices.Contains(peer.Heard("odd"), `["end"]`) })
	if got := peer.Heard("odd"); !slices.Equal(got, []string{`["odd"]`, `["end"]`}) {
		t.Errorf("the odd namespace heard %q", got)
	}
	for _, got := range peer.Heard("here") {
		if !slices.Contains([]string{`["e",{"_placeholder":true,"num":0}]`, `["e"]`, `["fence"]`, `["last"]`}, got) {
			t.Errorf("the client got %s", got)
		}
	}
	if ns := c.node.hub.Of("/"); ns.Session(id) == nil {
		t.Error("the session is gone")
	}
}

// Floods of requests are bounded and counted; who asks within reason is answered still.
func TestClassicFlood(t *testing.T) {
	c := newClassicCluster(t)
	serving := &c.node.adapter.driver.(*classic).serving
	serving.mu.Lock()
	serving.last, serving.tokens = time.Now().Add(time.Hour), 0 // an hour without a token
	serving.mu.Unlock()
	ctx, pipe := context.Background(), c.raw.Pipeline()
	for range 1000 {
		pipe.Publish(ctx, "socket.io-request#/#", `{"uid":"x","requestId":"r","type":1}`)
	}
	if _, err := pipe.Exec(ctx); err != nil {
		t.Fatal(err)
	}
	c.counted(t, reasonFlood, 1000)
	serving.mu.Lock()
	serving.last = time.Time{}
	serving.mu.Unlock()
	c.works(t)
}

func TestServingIsBounded(t *testing.T) {
	var s serving
	now := time.Unix(1e9, 0)
	for i := range maxServing {
		if !s.takeAt(now, true) {
			t.Fatalf("question %d is refused", i)
		}
	}
	if s.takeAt(now, true) {
		t.Error("too many questions at once")
	}
	for i := range serveBurst - questionCost*maxServing {
		if !s.takeAt(now, false) {
			t.Fatalf("request %d is refused", i)
		}
	}
	if s.takeAt(now, false) {
		t.Error("too many requests at once")
	}
	now = now.Add(time.Second / 2)
	for i := range serveRate / 2 {
		if !s.takeAt(now, false) {
			t.Fatalf("later request %d is refused", i)
		}
	}
	if s.takeAt(now, false) {
		t.Error("too many requests in half a second")
	}
	s.done()
	if !s.takeAt(now.Add(time.Second), true) {
		t.Error("a question that was answered makes no room")
	}
}

// Requests are answered on every namespace, also where nobody is, and in the forms of older versions.
func TestClassicAnswersEveryRequest(t *testing.T) {
	c := newClassicCluster(t, "/", "/empty")
	answers := c.raw.Subscribe(context.Background(), "socket.io-response#/#", "socket.io-response#/empty#")
	t.Cleanup(func() { _ = answers.Close() })
	for range 2 {
		if _, err := answers.Receive(context.Background()); err != nil {
			t.Fatal(err)
		}
	}
	here := c.ids["here"]
	for _, q := range []struct{ channel, request, answer string }{
		{"socket.io-request#/empty#", `{"uid":"x","requestId":"%s","type":1}`, `{"requestId":"%s","rooms":[]}`},
		{"socket.io-request#/empty#", `{"uid":"x","requestId":"%s","type":0,"rooms":[]}`, `{"requestId":"%s","sockets":[]}`},
		{"socket.io-request#/empty#", `{"uid":"x","requestId":"%s","type":5,"opts":{"rooms":[],"except":[]}}`, `{"requestId":"%s","sockets":[]}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":0,"rooms":["room"]}`, `{"requestId":"%s","sockets":["` + here + `"]}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":2,"sid":"` + here + `","room":"old"}`, `{"requestId":"%s"}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":0,"rooms":["old"]}`, `{"requestId":"%s","sockets":["` + here + `"]}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":3,"sid":"` + here + `","room":"old"}`, `{"requestId":"%s"}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":0,"rooms":["old"]}`, `{"requestId":"%s","sockets":[]}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":6,"data":["unknown"]}`, `{"type":6,"requestId":"%s","data":null}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":6,"data":["sse",1]}`, `{"type":6,"requestId":"%s","data":["go",1]}`},
		{"socket.io-request#/#", "\x85\xa3uid\xa1x\xa9requestId\xa6%s\xa4type\x07\xa6packet\x83\xa4type\x02\xa4data\x91\xa1q\xa3nsp\xa1/\xa4opts\x83\xa5rooms\x91\xa6nobody\xa6except\x90\xa5flags\x81\xa7timeout\xcd\x03\xe8", `{"type":8,"requestId":"%s","clientCount":0}`},
		{"socket.io-request#/#", `{"uid":"x","requestId":"%s","type":4,"sid":"` + here + `","close":false}`, `{"requestId":"%s"}`},
	} {
		id := uid6()
		c.publish(t, q.channel, fmt.Sprintf(q.request, id))
		want := fmt.Sprintf(q.answer, id)
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		var seen []string
		for !slices.Contains(seen, want) {
			m, err := answers.ReceiveMessage(ctx)
			if err != nil {
				t.Fatalf("%s: %v; answers were %q, want %q", q.request, err, seen, want)
			}
			seen = append(seen, m.Payload) // the Node.js node answers as well
		}
		cancel()
	}
	c.peer.Wait("the end of the session", func() bool { return len(c.peer.States("here")) == 2 })
}

// Namespaces that exist for their clients alone come and go, and with them what this node hears and answers.
func TestClassicFamilies(t *testing.T) {
	r := testenv.StartRedis(t)
	peer := testenv.NewPeer(t)
	peer.Serve(testenv.PeerNode{Redis: r.URL(), Adapter: "classic", Namespaces: []string{"/^/dyn-\\d+$"}})
	node := newGoNode(t, "n0", Options{URL: r.URL()})
	if _, err := node.hub.HandleFamily(func(name string, _ *hub.Handshake) bool { return strings.HasPrefix(name, "/dyn-") }, serveAsPeers); err != nil {
		t.Fatal(err)
	}
	auth := map[string]any{"auth": map[string]any{"rooms": []string{"r"}}, "reconnection": false}
	for i := range 3 {
		space := fmt.Sprintf("/dyn-%d", i)
		here, there := fmt.Sprintf("here%d", i), fmt.Sprintf("there%d", i)
		peer.Client(testenv.PeerClient{Name: here, URL: node.url, Space: space, Options: auth})
		peer.Client(testenv.PeerClient{Name: there, URL: peer.URL, Space: space, Options: auth})
		node.waitReady(t)
		peer.Run("ready()")
		peer.Run(fmt.Sprintf(`io.of(%q).to("r").emit("a")`, space))
		if err := node.hub.Of(space).To("r").Emit("b"); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{here, there} {
			if got := peer.WaitHeard(name, 2); len(got) != 2 {
				t.Errorf("client %s got %q", name, got)
			}
		}
		if got, err := node.hub.Of(space).To().Within(20 * time.Second).Sessions(); err != nil || len(got) != 2 {
			t.Errorf("%d sessions, %v", len(got), err)
		}
	}
	peer.Run(`for (const c of Object.values(clients)) c.disconnect()`)
	within(t, "the namespaces to go", func() bool {
		return !strings.Contains(r.Do("PUBSUB", "CHANNELS", "socket.io-request#/dyn-*"), "dyn-") || node.hub.SessionCount() == 0 && node.driverSpaces() == 1
	})
	if got := node.driverSpaces(); got != 1 {
		t.Errorf("%d namespaces are heard", got)
	}
}

func (n *goNode) driverSpaces() int {
	c := n.adapter.driver.(*classic)
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.spaces)
}

// A question waits until Redis is there, within its time.
func TestClassicQuestionsWait(t *testing.T) {
	c := newClassicCluster(t)
	c.redis.Kill()
	within(t, "the node to see that Redis is away", func() bool { return c.node.adapter.Ready() != nil })
	if got, err := c.node.hub.To().Within(100 * time.Millisecond).Sessions(); err == nil || len(got) != 1 {
		t.Errorf("without Redis there are %d sessions, %v", len(got), err)
	}
	answer := make(chan error, 1)
	go func() {
		got, err := c.node.hub.To().Within(patience).Sessions()
		if err == nil && len(got) != 2 && len(got) != 1 { // the Node.js node may subscribe later than we do
			err = fmt.Errorf("%d sessions", len(got))
		}
		answer <- err
	}()
	c.redis.Restart()
	if err := <-answer; err != nil {
		t.Error(err)
	}
	within(t, "the cluster to be whole", func() bool {
		got, err := c.node.hub.To().Within(time.Second).Sessions()
		return err == nil && len(got) == 2
	})
	c.works(t)
}

func TestPatternsMatchTheirPrefixAlone(t *testing.T) {
	if got, want := pattern(`P#/a*?[b]\#`), `P#/a\*\?\[b\]\\#*`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}
