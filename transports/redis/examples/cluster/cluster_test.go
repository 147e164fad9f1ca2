//go:build unix

// Package cluster has no code, only the files that docs/scaling.md speaks of. Its test starts what they say.
package cluster

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

// patience bounds each wait. Nothing is decided by its length.
const patience = time.Minute

// cluster is what compose.yaml and nginx.conf start, as processes of this machine.
type cluster struct {
	redis   *testenv.Redis
	addr    map[string]string // n1, n2, n3, haproxy, nginx
	process map[string]*testenv.Process
}

// compose is the commands of compose.yaml, by service.
func compose(t *testing.T) map[string][]string {
	t.Helper()
	commands, service := make(map[string][]string), ""
	for _, line := range strings.Split(read(t, "compose.yaml"), "\n") {
		if m := regexp.MustCompile(`^  (\w+):`).FindStringSubmatch(line); m != nil {
			service = m[1]
		} else if m := regexp.MustCompile(`^    (?:command|entrypoint): (\[.*\])$`).FindStringSubmatch(line); m != nil {
			var words []string
			if err := json.Unmarshal([]byte(m[1]), &words); err != nil {
				t.Fatalf("%s: %v", line, err)
			}
			commands[service] = words
		}
	}
	return commands
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func port(addr string) string {
	_, p, _ := net.SplitHostPort(addr)
	return p
}

// ports has the files' addresses give way to those of this test.
func (c *cluster) ports(text, front string) string {
	for _, r := range [][2]string{{"3000", front}, {"3001", "n1"}, {"3002", "n2"}, {"3003", "n3"}} {
		text = regexp.MustCompile(`1:`+r[0]+`\b`).ReplaceAllString(text, "1:@"+r[1]+"@")
	}
	for name, addr := range c.addr {
		text = strings.ReplaceAll(text, "@"+name+"@", port(addr))
	}
	return text
}

// start starts everything. The node n3 has a user of its own at Redis, called n3.
func start(t *testing.T) *cluster {
	t.Helper()
	haproxy, nginx := testenv.Program(t, "haproxy", "haproxy"), testenv.Program(t, "nginx", "nginx")
	commands := compose(t)
	c := &cluster{addr: make(map[string]string), process: make(map[string]*testenv.Process)}
	if commands["redis"][0] != "redis-server" {
		t.Fatal(commands["redis"])
	}
	c.redis = testenv.StartRedis(t, commands["redis"][1:]...)
	c.allow("n3")
	for _, name := range []string{"n1", "n2", "n3", "haproxy", "nginx"} {
		c.addr[name] = testenv.FreeAddr(t)
	}
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	for _, name := range []string{"n1", "n2", "n3"} {
		args := slices.Clone(commands[name])
		for i, a := range args {
			switch {
			case strings.HasPrefix(a, "0.0.0.0:300"):
				args[i] = c.addr[name]
			case a == "redis://redis:6379" && name == "n3":
				args[i] = "redis://n3:n3@" + c.redis.Addr
			case a == "redis://redis:6379":
				args[i] = c.redis.URL()
			}
		}
		c.process[name] = testenv.Start(t, testenv.Command{
			Path: bin, Args: append(args[1:], "--redis-presence-ttl", "3s"), Ready: testenv.ReadyHTTP("http://" + c.addr[name] + "/readyz"),
		})
	}

	dir := t.TempDir()
	conf, made := filepath.Join(dir, "haproxy.cfg"), filepath.Join(dir, "made.cfg")
	write(t, conf, c.ports(read(t, "haproxy.cfg"), "haproxy"))
	// What the container does with the file, with addresses in place of names.
	words := commands["front"]
	script := words[2]
	for _, r := range [][2]string{{"/tmp/haproxy.cfg", "@made@"}, {"/haproxy.cfg", conf}, {"@made@", made}, {"bind :", "bind 127.0.0.1:"}, {"exec haproxy", "exec " + haproxy}} {
		if !strings.Contains(script, r[0]) {
			t.Fatalf("no %q in %s", r[0], script)
		}
		script = strings.ReplaceAll(script, r[0], r[1])
	}
	for _, name := range []string{"n1", "n2", "n3"} {
		p := "300" + name[1:]
		script = strings.ReplaceAll(script, "127.0.0.1:"+p+"/"+name+":"+p, c.addr[name]+"/localhost:"+port(c.addr[name]))
	}
	c.process["haproxy"] = testenv.Start(t, testenv.Command{
		Path: "/bin/sh", Args: []string{words[1], script}, Ready: testenv.ReadyHTTP("http://" + c.addr["haproxy"] + "/healthz"),
	})
	if text := read(t, made); !strings.Contains(text, "server n2 localhost:"+port(c.addr["n2"])) {
		t.Errorf("the container would have\n%s", text)
	}

	root := filepath.Join(dir, "nginx")
	if err := os.Mkdir(root, 0o755); err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(root, "nginx.conf"), c.ports(read(t, "nginx.conf"), "nginx"))
	c.process["nginx"] = testenv.Start(t, testenv.Command{
		Path: nginx, Args: []string{"-p", root, "-c", filepath.Join(root, "nginx.conf")},
		Ready: testenv.ReadyHTTP("http://" + c.addr["nginx"] + "/healthz"),
	})
	return c
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func (c *cluster) allow(user string) {
	c.redis.Do("ACL", "SETUSER", user, "reset", "on", ">"+user, "~*", "&*", "+@all")
}

// node asks a proxy for anything, as somebody new, and returns the node that its cookie names.
func node(t *testing.T, proxy string) string {
	t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}
	res, err := client.Get("http://" + proxy + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatal(res.Status)
	}
	for _, cookie := range res.Cookies() {
		if cookie.Name == "node" && cookie.HttpOnly && cookie.Path == "/" {
			return cookie.Value
		}
	}
	t.Fatalf("no cookie in %v", res.Header)
	return ""
}

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); !ok(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waited in vain until %s", what)
		}
	}
}

// given is the nodes that newcomers are given.
func given(t *testing.T, proxy string) string {
	t.Helper()
	var names []string
	for range 9 {
		names = append(names, node(t, proxy))
	}
	slices.Sort(names)
	return strings.Join(slices.Compact(names), " ")
}

// TestExamples: official clients of all transports reach each other through both proxies, and come back when their node
// is killed; and a node without its Redis gets no new clients.
func TestExamples(t *testing.T) {
	c := start(t)
	for _, proxy := range []string{"haproxy", "nginx"} {
		until(t, proxy+" knows three nodes", func() bool { return given(t, c.addr[proxy]) == "n1 n2 n3" })
	}

	c.redis.Do("ACL", "DELUSER", "n3") // and its connections
	until(t, "HAProxy gives nobody to a node without Redis", func() bool { return given(t, c.addr["haproxy"]) == "n1 n2" })
	c.allow("n3")
	until(t, "HAProxy gives it some again", func() bool { return given(t, c.addr["haproxy"]) == "n1 n2 n3" })

	peer := testenv.NewPeer(t)
	var names []string
	for _, proxy := range []string{"haproxy", "nginx"} {
		for transport, options := range map[string]map[string]any{
			"websocket": {"transports": []string{"websocket"}},
			"polling":   {"transports": []string{"polling"}, "withCredentials": true},
			"both":      {"transports": []string{"polling", "websocket"}, "withCredentials": true},
		} {
			name := proxy + " " + transport
			options["auth"] = map[string]string{"name": name}
			options["reconnectionDelay"] = 100
			peer.Client(testenv.PeerClient{Name: name, URL: "http://" + c.addr[proxy], Options: options})
			names = append(names, name)
		}
	}
	slices.Sort(names)
	const join = `const join = (c) => c.timeout(20000).emitWithAck("join", "lobby", {presence: true}).catch(() => {});
		for (const c of Object.values(clients)) { c.on("connect", () => join(c)); await join(c); }`
	peer.Run(join)
	where := func() map[string]string {
		var list []struct{ Name, Node string }
		text := peer.Run(`(await clients["haproxy websocket"].timeout(20000).emitWithAck("presence", "lobby")).members`)
		if err := json.Unmarshal([]byte(text), &list); err != nil {
			t.Fatal(err, text)
		}
		at := make(map[string]string)
		for _, m := range list {
			at[m.Name] += m.Node // two, while there is a ghost
		}
		return at
	}
	until(t, "all are known to be in the room", func() bool { return len(where()) == len(names) })
	say := 0
	reach := func() {
		t.Helper()
		say++
		peer.Run(`for (const [name, c] of Object.entries(clients)) await c.timeout(20000).emitWithAck("publish", "lobby", "hello", name + args[0])`, strconv.Itoa(say))
		for _, to := range names {
			for _, from := range names {
				text := fmt.Sprintf(`["hello","%s%d",`, from, say)
				if to != from {
					peer.Wait(to+" has "+text, func() bool { return count(peer.Heard(to), text) == 1 })
				}
			}
		}
	}
	reach()

	at := where()
	before, victim := at, at["haproxy polling"]
	t.Log("before:", before)
	if err := c.process[victim].Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "all are on the other nodes, and each is there once", func() bool {
		at = where()
		if len(at) != len(names) {
			return false
		}
		for _, n := range at {
			if len(n) != 2 || n == victim {
				return false
			}
		}
		return true
	})
	t.Log("after: ", at)
	for name, was := range before {
		if states := peer.States(name); was == victim && !states[len(states)-1].Recovered {
			t.Errorf("%s has come back as somebody new: %+v", name, states)
		}
	}
	peer.Forget()
	reach()
	until(t, "newcomers get the other nodes", func() bool {
		return !strings.Contains(given(t, c.addr["haproxy"])+given(t, c.addr["nginx"]), victim)
	})
}

func count(events []string, prefix string) (n int) {
	for _, e := range events {
		if strings.HasPrefix(e, prefix) {
			n++
		}
	}
	return n
}
