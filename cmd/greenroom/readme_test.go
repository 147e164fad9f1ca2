package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

func readme(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// snippets are README.md's code blocks of one language, in order.
func snippets(t *testing.T, language string) []string {
	t.Helper()
	var found []string
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]*)\n(.*?)^```$").FindAllStringSubmatch(readme(t), -1) {
		if m[1] == language {
			found = append(found, m[2])
		}
	}
	return found
}

// pick returns the one snippet that holds text.
func pick(t *testing.T, snippets []string, text string) string {
	t.Helper()
	i := slices.IndexFunc(snippets, func(s string) bool { return strings.Contains(s, text) })
	if i < 0 {
		t.Fatalf("README.md has no snippet with %q", text)
	}
	return snippets[i]
}

// moved rewrites a snippet's default endpoints to where the test's server is.
func (p *process) moved(snippet string) string {
	return strings.NewReplacer(
		"http://127.0.0.1:3000", p.url, "tcp://127.0.0.1:5560", p.pull, "tcp://127.0.0.1:5561", p.pub, "tcp://127.0.0.1:5562", p.sub,
	).Replace(snippet)
}

// listener is a Socket.IO client that has joined lobby.
type listener struct {
	t      *testing.T
	events chan string // event, then its first argument as JSON, and the name of who sent it
}

func newListener(t *testing.T, url string) *listener {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	client, err := dialSocketIO(ctx, url, "ear")
	if err != nil {
		t.Fatal(err)
	}
	if err := client.Call(ctx, nil, "join", "lobby"); err != nil {
		t.Fatal(err)
	}
	l := &listener{t, make(chan string, 1000)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = client.Events(ctx, func(event string, args []json.RawMessage) error {
			var meta struct{ From struct{ ID, Name string } }
			if len(args) != 2 || json.Unmarshal(args[1], &meta) != nil {
				t.Errorf("event %s with %s", event, args)
				return nil
			}
			from := meta.From.Name
			if from == "" {
				from = meta.From.ID
			}
			l.events <- event + " " + string(args[0]) + " from " + from
			return nil
		})
	}()
	t.Cleanup(func() {
		cancel()
		<-done
		_ = client.Close()
	})
	return l
}

// expect waits for the next event.
func (l *listener) expect(want string) {
	l.t.Helper()
	select {
	case got := <-l.events:
		if got != want {
			l.t.Errorf("heard %s, want %s", got, want)
		}
	case <-time.After(patience):
		l.t.Fatalf("waited in vain for %s", want)
	}
}

// TestReadme runs what README.md shows, as it stands there, against the real program.
func TestReadme(t *testing.T) {
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	python := testenv.Python(t, "zmq")
	server := start(t, bin)
	ctx, cancel := context.WithTimeout(context.Background(), 5*patience)
	defer cancel()
	ear := newListener(t, server.url)

	py := snippets(t, "python")
	hello, price, sub := pick(t, py, "zmq.PUSH"), pick(t, py, "price"), pick(t, py, "zmq.SUB")
	if len(py) != 3 {
		t.Errorf("README.md has %d Python snippets, three are run here", len(py))
	}
	run := func(code string) *testenv.Process {
		return testenv.Start(t, testenv.Command{Path: python, Args: []string{"-u", "-c", server.moved(code)}})
	}
	finished := func(p *testenv.Process) string {
		t.Helper()
		select {
		case <-p.Done():
		case <-ctx.Done():
			t.Fatalf("still running: %s", p.Output())
		}
		if err := p.Stop(); err != nil {
			t.Fatalf("%v\n%s", err, p.Output())
		}
		return p.Output()
	}

	// Python does not wait for what is on its way when a program ends; README.md says so, and how to.
	const thenClose = "\ns.close(); s.context.term()\n"
	if text := readme(t); !strings.Contains(text, strings.TrimSpace(thenClose)) {
		t.Error("README.md does not say how a script ends")
	}
	t.Run("push hello", func(t *testing.T) {
		finished(run(hello + thenClose))
		ear.expect(`message "hello" from zeromq`)
	})
	t.Run("push a price", func(t *testing.T) {
		finished(run(hello + price + thenClose))
		ear.expect(`message "hello" from zeromq`)
		ear.expect(`price {"eur":4.2} from zeromq`)
	})
	t.Run("subscribe", func(t *testing.T) {
		// The snippet prints one message. It is heard once its subscription is there: until then, say it again.
		mouth, err := dialSocketIO(ctx, server.url, "Ann")
		if err != nil {
			t.Fatal(err)
		}
		defer mouth.Close()
		p := run(sub)
		for said := false; !said; {
			if err := mouth.Call(ctx, nil, "publish", "lobby", "say", map[string]int{"n": 1}); err != nil {
				t.Fatal(err)
			}
			ear.expect(`say {"n":1} from Ann`)
			select {
			case <-p.Done():
				said = true
			case <-time.After(20 * time.Millisecond):
			}
		}
		if got := finished(p); !strings.HasPrefix(got, `[b'lobby', b'say', b'{"n":1}', b'{"room":"lobby",`) || !strings.Contains(got, `"name":"Ann"`) {
			t.Errorf("printed %s", got)
		}
	})
	t.Run("JavaScript", func(t *testing.T) {
		code := snippets(t, "js")
		if len(code) != 1 {
			t.Fatalf("README.md has %d JavaScript snippets, one is run here", len(code))
		}
		node, js, dir := testenv.Node(t), testenv.JS(t), t.TempDir()
		testenv.NPM(t, js)
		if err := os.Symlink(filepath.Join(js, "node_modules"), filepath.Join(dir, "node_modules")); err != nil {
			t.Fatal(err)
		}
		script := filepath.Join(dir, "readme.mjs")
		if err := os.WriteFile(script, []byte(server.moved(code[0])), 0o600); err != nil {
			t.Fatal(err)
		}
		p := testenv.Start(t, testenv.Command{Path: node, Args: []string{script}})
		ear.expect(`message "hello" from Ann`) // the last line of the snippet: it has joined
		mouth, err := dialSocketIO(ctx, server.url, "Bob")
		if err != nil {
			t.Fatal(err)
		}
		defer mouth.Close()
		if err := mouth.Call(ctx, nil, "publish", "lobby", "message", "hi"); err != nil {
			t.Fatal(err)
		}
		ear.expect(`message "hi" from Bob`)
		if err := p.WaitOutput(ctx, "Bob hi"); err != nil {
			t.Errorf("%v\n%s", err, p.Output())
		}
	})
	t.Run("shell", func(t *testing.T) {
		t.Setenv("GREENROOM_TO", server.pull)
		t.Setenv("GREENROOM_FROM", server.pub)
		command := func(name string) *testenv.Process {
			i := slices.IndexFunc(snippets(t, ""), func(s string) bool { return strings.Contains(s, "./cmd/greenroom "+name) })
			if i < 0 {
				t.Fatalf("README.md does not show %s", name)
			}
			for line := range strings.Lines(snippets(t, "")[i]) {
				if rest, ok := strings.CutPrefix(line, "go run ./cmd/greenroom "+name); ok {
					return testenv.Start(t, testenv.Command{Path: "/bin/sh", Args: []string{"-c", "exec " + bin + " " + name + rest}})
				}
			}
			t.Fatalf("README.md does not show %s on a line of its own", name)
			return nil
		}
		listening := command("listen")
		for heard := false; !heard; {
			finished(command("publish"))
			ear.expect(`price {"eur":4.2} from zeromq`)
			heard = strings.Contains(listening.Output(), `lobby  price  {"eur":4.2}`)
		}
		if err := listening.Stop(); err != nil {
			t.Errorf("listen ended with %v: %s", err, listening.Output())
		}
	})
}

// TestReadmeLibrary: the program that README.md shows for the library compiles in a module of its own, which
// finds Greenroom as README.md says.
func TestReadmeLibrary(t *testing.T) {
	code, shell := snippets(t, "go"), snippets(t, "sh")
	program := pick(t, code, "package main") // the other one is an example of coop's
	if len(shell) != 1 {
		t.Fatalf("README.md has %d sh snippets, one is tried here", len(shell))
	}
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "main.go"), []byte(program), 0o600); err != nil {
		t.Fatal(err)
	}
	do := func(script string) {
		t.Helper()
		cmd := exec.Command("/bin/sh", "-ec", script)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GOFLAGS=-mod=mod", "GOWORK=off")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", script, err, out)
		}
	}
	setup, tidy := strings.CutSuffix(strings.ReplaceAll(shell[0], "=../greenroom", "="+root), "go mod tidy\n")
	if !tidy {
		t.Errorf("README.md does not end with go mod tidy:\n%s", shell[0])
	}
	do(setup)
	// In place of go mod tidy, which would fetch what the tests of the dependencies need.
	sums, err := os.ReadFile(filepath.Join(root, "go.sum"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "go.sum"), sums, 0o600); err != nil {
		t.Fatal(err)
	}
	do("go build -o program . && go vet .")
	if _, err := os.Stat(filepath.Join(dir, "program")); err != nil {
		t.Error(err)
	}
	if out, err := exec.Command("gofmt", "-l", dir).CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("not formatted: %s, %v", out, err)
	}
}
