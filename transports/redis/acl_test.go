//go:build unix

package redis

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// documentedUsers are the rules that docs/scaling.md gives, by adapter, and "cluster" for those that a Cluster needs besides.
func documentedUsers(t *testing.T) map[string][]string {
	t.Helper()
	text, err := os.ReadFile("../../docs/scaling.md")
	if err != nil {
		t.Fatal(err)
	}
	_, block, _ := strings.Cut(string(text), "```sh\n# --redis-adapter classic")
	block, _, ok := strings.Cut(block, "```")
	if !ok {
		t.Fatal("the users are not where they were")
	}
	users := make(map[string][]string)
	for _, part := range strings.Split("# --redis-adapter classic"+block, "# ")[1:] {
		title, command, _ := strings.Cut(part, "\n")
		words := strings.Fields(strings.NewReplacer("\\\n", " ", "'", "").Replace(command))
		if len(words) < 4 || !slices.Equal(words[:4], []string{"redis-cli", "ACL", "SETUSER", "greenroom"}) {
			t.Fatalf("%q is no user", part)
		}
		name := strings.TrimPrefix(title, "--redis-adapter ")
		if strings.Contains(title, "Cluster") {
			name = "cluster"
		}
		users[name] = words[4:]
	}
	if got := slices.Sorted(maps.Keys(users)); !slices.Equal(got, []string{"classic", "cluster", "sharded", "streams"}) {
		t.Fatalf("users for %q", got)
	}
	return users
}

// The rights that the documentation gives a user are those that nodes use, no fewer and no more.
func TestDocumentedUsers(t *testing.T) {
	t.Parallel()
	users := documentedUsers(t)
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			r := testenv.StartRedis(t)
			rules := users[string(kind)]
			r.Do(append([]string{"ACL", "SETUSER", "greenroom"}, rules...)...)
			r.Do(append([]string{"ACL", "SETUSER", "greenroom"}, ofRelay...)...)
			o := Options{URL: r.URL(), User: "greenroom", Password: "password", Adapter: kind}
			useAll(t, o, func() {
				r.Do("CLIENT", "KILL", "TYPE", "normal", "USER", "greenroom")
			})
			if log := r.Do("ACL", "LOG"); log != "" {
				t.Errorf("refused:\n%s", log)
			}
			if report := Diagnose(t.Context(), o); !report.Well() {
				t.Errorf("the doctor finds %+v", report.Findings)
			}
			used := r.Do("INFO", "commandstats")
			for _, rule := range rules {
				if name, ok := strings.CutPrefix(rule, "+"); ok && !strings.Contains(used, "cmdstat_"+name+":calls") {
					t.Errorf("nobody needs %s", rule)
				}
			}
		})
	}
}

// documentedUsersOnACluster is the same on the servers of a Cluster.
func documentedUsersOnACluster(t *testing.T, c *testenv.RedisCluster) {
	users := documentedUsers(t)
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			for _, m := range c.Masters {
				m.Do(append([]string{"ACL", "SETUSER", "greenroom"}, users[string(kind)]...)...)
				m.Do(append([]string{"ACL", "SETUSER", "greenroom"}, users["cluster"]...)...)
				m.Do(append([]string{"ACL", "SETUSER", "greenroom"}, ofRelay...)...)
			}
			o := Options{URL: c.URL(), User: "greenroom", Password: "password", Adapter: kind}
			useAll(t, o, nil)
			for _, m := range c.Masters {
				if log := m.Do("ACL", "LOG"); log != "" {
					t.Errorf("refused:\n%s", log)
				}
			}
			if report := Diagnose(t.Context(), o); !report.Well() {
				t.Errorf("the doctor finds %+v", report.Findings)
			}
			for _, m := range c.Masters {
				m.Do("ACL", "LOG", "RESET") // it tries INFO
			}
		})
	}
}

// ofRelay is what the classic adapter needs for a second namespace.
var ofRelay = []string{"&socket.io#/relay#*"}

// useAll has two nodes do everything that they can with Redis; fault breaks the connections, unless it is nil.
func useAll(t *testing.T, o Options, fault func()) {
	o.PresenceTTL = time.Second
	ho := hub.Options{HistoryMessages: 3}
	if o.Adapter == Streams {
		ho.Recovery = &hub.Recovery{}
	}
	js := testenv.NewPeer(t)
	var nodes [2]*goNode
	for i, name := range []string{"a", "b"} {
		own := ho
		own.Node = name
		nodes[i] = newGoNodeWith(t, o, own)
		js.Client(testenv.PeerClient{
			Name: name, URL: nodes[i].url, Answer: fmt.Sprintf(`(event, ...args) => event === "ask" ? [%q, ...args] : undefined`, name),
			Options: map[string]any{"auth": map[string]any{"rooms": []string{"r", "of-" + name}}, "reconnectionDelay": 20},
		})
	}
	a, b := nodes[0].hub, nodes[1].hub
	everything := func() {
		js.Run(`await clients.b.timeout(20000).emitWithAck("join", "of-b")`)
		for _, n := range nodes {
			n.waitReady(t)
		}
		js.Forget()
		emit(t, a.To(), "all", 1)
		emit(t, a.To("of-b"), "room", []byte{1})
		js.WaitHeard("b", 2)
		for i := range 300 { // in one transaction, or in few
			emit(t, a.To("of-b"), "many", i)
		}
		js.WaitHeard("b", 302)
		answers, err := a.To("r").Within(20*time.Second).Ask("ask", 1)
		if err != nil || len(answers) != 2 {
			t.Errorf("%d answers, %v", len(answers), err)
		}
		if list, err := b.To().Sessions(); err != nil || len(list) != 2 {
			t.Errorf("%d sessions, %v", len(list), err)
		}
		if rooms, err := b.Of("/").AllRooms(20 * time.Second); err != nil || !slices.Contains(rooms, "of-a") {
			t.Errorf("rooms %q, %v", rooms, err)
		}
		if answers, err := a.Of("/").ServerAsk(20*time.Second, "sse", 1); err != nil || len(answers) != 1 {
			t.Errorf("%d answers of nodes, %v", len(answers), err)
		}
		if err := a.In("of-b").Join("later"); err != nil {
			t.Error(err)
		}
		within(t, "b's client to have entered a room", func() bool {
			list, err := a.In("later").Sessions()
			return err == nil && len(list) == 1
		})
		a.In("later").Leave("later")
		js.Run(`await clients.b.timeout(20000).emitWithAck("join", "soon")`)
	}
	everything()
	ids := make([]string, 5)
	for i := range ids {
		var err error
		p := hub.Publication{Room: "kept", Event: "n", Args: []any{i}, ID: fmt.Sprint(o.Adapter, i), Retain: true}
		if ids[i], err = a.Publish(p); err != nil {
			t.Fatal(err)
		}
	}
	within(t, "history to be shared", func() bool { list, complete := b.History("/", "kept", 9, ""); return len(list) == 3 && complete })
	within(t, "a claim to be shared", func() bool {
		id, err := b.Publish(hub.Publication{Room: "kept", Event: "n", ID: fmt.Sprint(o.Adapter, 4)})
		return err != nil && id == ids[4]
	})
	if _, err := a.Publish(hub.Publication{Room: "kept", Event: "n", Args: []any{nil}, Retain: true}); err != nil { // forgets
		t.Error(err)
	}
	// Who is in a room of Relay, on a node that stays and on one that ends.
	for _, n := range nodes {
		if err := n.hub.Handle("/relay", hub.Relay(hub.RelayOptions{})); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range []string{"ra", "rb"} {
		js.Client(testenv.PeerClient{Name: name, URL: nodes[i].url, Space: "/relay", Options: map[string]any{"auth": map[string]any{"name": name}}})
		js.Run(`await clients[args[0]].timeout(20000).emitWithAck("join", "lobby", {presence: true})`, name)
	}
	within(t, "both to be present", func() bool { _, n := a.Of("/relay").Present("lobby", 9); return n == 2 })
	js.Run(`clients.rb.disconnect()`)
	within(t, "one to be present", func() bool { _, n := a.Of("/relay").Present("lobby", 9); return n == 1 })
	a.In("of-b").Disconnect("over")
	js.Wait("b's client to go", func() bool { return len(js.States("b")) == 2 })
	if fault != nil {
		fault()
	}
	for _, n := range nodes {
		if fault != nil {
			within(t, "the end of the connection to be noticed", func() bool { return n.hub.Counters()[reasonReconnect] > 0 })
		}
		n.waitReady(t)
	}
	js.Run(`clients.b.connect()`)
	js.Wait("b's client to be back", func() bool { return connects(js.States("b")) == 2 })
	within(t, "what is said is heard again", func() bool {
		js.Forget()
		emit(t, a.To("of-b"), "again")
		end := time.Now().Add(time.Second)
		for len(js.Heard("b")) == 0 && time.Now().Before(end) {
			time.Sleep(5 * time.Millisecond)
		}
		return len(js.Heard("b")) > 0
	})
	everything()
	for _, n := range nodes {
		if c := n.hub.Counters(); c[reasonRefused]+c[reasonUnreadable] > 0 {
			t.Errorf("counted %v", c)
		}
		if err := n.adapter.Close(); err != nil { // it says farewell
			t.Error(err)
		}
	}
}

// The doctor knows of each rule that is documented when it is missing, and scripts call nothing that is not allowed.
func TestTheDoctorMissesEveryRule(t *testing.T) {
	t.Parallel()
	r := testenv.StartRedis(t)
	users := documentedUsers(t)
	untried := map[string]bool{ // they are plain, or of no account
		"+ping": true, "+hello": true, "+client|setname": true, "+unsubscribe": true, "+punsubscribe": true, "+sunsubscribe": true,
	}
	scripts := luaPublish + luaAppend + luaPresent + luaRead + luaClaim + luaBeat + luaBury + luaName + saveScript + forgetScript
	for _, kind := range []Kind{Classic, Sharded, Streams} {
		t.Run(string(kind), func(t *testing.T) {
			t.Parallel()
			rules := users[string(kind)]
			for _, call := range regexp.MustCompile(`(?:call|try)\('([A-Z]+)'`).FindAllStringSubmatch(scripts, -1) {
				if name := strings.ToLower(call[1]); !slices.Contains(rules, "+"+name) && (name != "xadd" || kind == Streams) {
					t.Errorf("a script calls %s, and nothing allows it", name)
				}
			}
			var wg sync.WaitGroup
			defer wg.Wait()
			for i, rule := range rules {
				if !strings.ContainsAny(rule[:1], "+~&") || untried[rule] || kind == Classic && rule == "&socket.io#*" { // the last is for other namespaces than "/"
					continue
				}
				user := fmt.Sprint(kind, i)
				r.Do(append([]string{"ACL", "SETUSER", user}, slices.Delete(slices.Clone(rules), i, i+1)...)...)
				wg.Go(func() {
					report := Diagnose(t.Context(), Options{URL: r.URL(), User: user, Password: "password", Adapter: kind, Timeout: 2 * time.Second})
					last := report.Findings[len(report.Findings)-1]
					if words := strings.Fields(strings.ReplaceAll(last.Text, "'", "")); !last.Bad || !slices.Equal(words[max(0, len(words)-2):], []string{user, rule}) {
						t.Errorf("without %s the doctor says %q", rule, last.Text)
					}
				})
			}
		})
	}
}
