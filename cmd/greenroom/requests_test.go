package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
	"greenroom/transports/zeromq"
)

// documented writes the program behind `<!-- name -->` on a page of docs into a directory of the test.
func documented(t *testing.T, page, name, dir string) (path string) {
	t.Helper()
	text, err := os.ReadFile("../../docs/" + page)
	if err != nil {
		t.Fatal(err)
	}
	m := regexp.MustCompile("(?ms)^<!-- " + regexp.QuoteMeta(name) + " -->\n```[a-z]*\n(.*?)^```$").FindSubmatch(text)
	if m == nil {
		t.Fatalf("docs/%s has no %s", page, name)
	}
	path = filepath.Join(dir, name)
	if err := os.WriteFile(path, m[1], 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestWorkersPage runs the bots of docs/workers.md, in Python and in Node.js, with the official client as browsers.
func TestWorkersPage(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, err := filepath.Abs("testdata/workers")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	for _, bot := range []string{"bot.py", "bot.mjs"} {
		t.Run(bot, func(t *testing.T) {
			workers := "tcp://" + testenv.FreeAddr(t)
			r := serve(t, "--zmq-workers", workers, "--workers", "/", "--worker-wait", "1m")
			run, home := testenv.Node(t), dir // where node_modules are
			if strings.HasSuffix(bot, ".py") {
				run, home = testenv.Python(t, "zmq"), t.TempDir()
			}
			path := documented(t, "workers.md", bot, home)
			if home == dir {
				t.Cleanup(func() { _ = os.Remove(path) })
			}
			p := testenv.Start(t, testenv.Command{Path: run, Args: []string{path}, Env: []string{"WORKERS=" + workers}})
			testenv.RunNode(t, dir, "browser.test.mjs", "URL="+r.url)
			if out := p.Output(); out != "" {
				t.Errorf("the bot said %s", out)
			}
		})
	}
}

// TestUnserved: the workers are told which namespaces they serve, which may be none.
func TestUnserved(t *testing.T) {
	for _, f := range []requestFlags{{}, {Workers: []string{"/", "/chat"}}} {
		var o zeromq.Options
		f.apply(&o)
		if got := o.Work.Namespaces; got == nil || !slices.Equal(got, f.Workers) {
			t.Errorf("%q serve %q", f.Workers, got)
		}
	}
}

// TestControlPage runs ask.py of docs/control.md.
func TestControlPage(t *testing.T) {
	control := "tcp://" + testenv.FreeAddr(t)
	serve(t, "--zmq-control", control)
	p := testenv.Start(t, testenv.Command{
		Path: testenv.Python(t, "zmq"), Args: []string{documented(t, "control.md", "ask.py", t.TempDir())}, Env: []string{"CONTROL=" + control},
	})
	<-p.Done()
	if got := p.Output(); got != "1\nTrue\n['hello']\n" {
		t.Errorf("it printed %q", got)
	}
}

// clone follows what clone.py prints, and knows what it must.
type clone struct {
	epoch   string
	seqs    map[string]uint64
	last    map[string]int
	updates map[string]int // by epoch
	starts  map[string]int // snapshots by epoch
}

func (c *clone) line(t *testing.T, line string) {
	t.Helper()
	switch f := strings.SplitN(strings.TrimSpace(line), " ", 5); {
	case f[0] == "snapshot":
		_, seqs, _ := strings.Cut(strings.TrimPrefix(line, "snapshot "), " ")
		c.epoch, c.seqs = f[1], nil
		if err := json.Unmarshal([]byte(seqs), &c.seqs); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		c.starts[c.epoch]++
	case f[0] == "update" && len(f) == 5:
		var seq uint64
		var value int
		if _, err := fmt.Sscan(f[3]+" "+f[4], &seq, &value); err != nil {
			t.Fatalf("%q: %v", line, err)
		}
		if f[1] != c.epoch || seq != c.seqs[f[2]]+1 {
			t.Fatalf("%q follows %d of epoch %s", line, c.seqs[f[2]], c.epoch)
		}
		if value <= c.last[f[2]] {
			t.Fatalf("%q after the value %d", line, c.last[f[2]])
		}
		c.seqs[f[2]], c.last[f[2]] = seq, value
		c.updates[c.epoch]++
	default:
		t.Fatalf("it said %q", line)
	}
}

// TestClone: docs/control.md's clone.py has every change of every room, once, however often the server is killed
// while publishers go on.
func TestClone(t *testing.T) {
	if testing.Short() {
		t.Skip("starts processes")
	}
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	at := func() string { return "tcp://" + testenv.FreeAddr(t) }
	control, pull, pub := at(), at(), at()
	up := func() *process {
		return start(t, bin, "--zmq-control", control, "--zmq-pull", pull, "--zmq-pub", pub)
	}
	server := up()
	python := testenv.Python(t, "zmq")
	ticks := testenv.Start(t, testenv.Command{Path: python, Args: []string{"testdata/ticks.py", pull}})
	p := testenv.Start(t, testenv.Command{
		Path: python, Args: []string{documented(t, "control.md", "clone.py", t.TempDir())}, Env: []string{"CONTROL=" + control, "PUB=" + pub},
	})
	c := &clone{last: make(map[string]int), updates: make(map[string]int), starts: make(map[string]int)}
	read := 0
	// follow reads on until ok.
	follow := func(what string, ok func() bool) {
		t.Helper()
		for deadline := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) {
			out := p.Output()
			for end := strings.IndexByte(out[read:], '\n'); end >= 0; end = strings.IndexByte(out[read:], '\n') {
				c.line(t, out[read:read+end])
				read += end + 1
			}
			if ok() {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("waited in vain for %s: %+v", what, c)
			}
		}
	}
	const rounds = 3
	for round := range rounds {
		follow("updates", func() bool { return len(c.updates) == round+1 && c.updates[c.epoch] >= 300 })
		if round < rounds-1 {
			server.Kill()
			server = up()
		}
	}
	_ = ticks.Stop() // a script that is stopped by a signal has no good exit status
	ask := documented(t, "control.md", "ask.py", t.TempDir())
	script := strings.Split(mustRead(t, ask), "\nonce =")[0] + "\nprint(json.dumps({r['room']: r['retained']['args'][0] for r in ask('snapshot', prefix='prices.')['rooms']}))\n"
	if err := os.WriteFile(ask, []byte(script), 0o644); err != nil {
		t.Fatal(err)
	}
	same := func() bool {
		q := testenv.Start(t, testenv.Command{Path: python, Args: []string{ask}, Env: []string{"CONTROL=" + control}})
		<-q.Done()
		want := make(map[string]int)
		if err := json.Unmarshal([]byte(q.Output()), &want); err != nil {
			t.Fatalf("%v: %s", err, q.Output())
		}
		return len(want) == 3 && fmt.Sprint(want) == fmt.Sprint(c.last)
	}
	follow("the server's state", same)
	for epoch, n := range c.starts {
		if n > 2 { // one to begin with, and one if the subscription was late
			t.Errorf("%d snapshots in epoch %s: something was missed", n, epoch)
		}
	}
}

func mustRead(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
