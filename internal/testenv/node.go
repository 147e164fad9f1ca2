package testenv

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"testing"
	"time"
)

// scriptWithin is when a script that hangs is ended. Scripts have shorter limits of their own.
const scriptWithin = 4 * time.Minute

// RunNode installs the npm packages of dir, runs a script in it with Node.js, streams what it prints
// into the test's log, and fails the test when it does not exit with 0. env is "NAME=value" on top of
// the test's environment.
//
//	testenv.RunNode(t, testenv.JS(t), "relay.test.mjs", "GREENROOM_URL="+server.URL)
func RunNode(t testing.TB, dir, script string, env ...string) {
	t.Helper()
	node := Node(t)
	NPM(t, dir)
	log := &lines{t: t}
	ctx, cancel := context.WithTimeout(context.Background(), scriptWithin)
	defer cancel()
	cmd := exec.CommandContext(ctx, node, script)
	cmd.Dir = dir
	cmd.Env = append(append(os.Environ(), "NO_COLOR=1"), env...)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.WaitDelay = 10 * time.Second
	err := cmd.Run()
	log.flush()
	if err != nil {
		t.Fatalf("node %s: %v", script, err)
	}
}

// lines logs whole lines to a test. exec calls Write from one goroutine, which ends before Wait returns.
type lines struct {
	t    testing.TB
	rest []byte
}

func (l *lines) Write(p []byte) (int, error) {
	l.rest = append(l.rest, p...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 {
			return len(p), nil
		}
		l.t.Log(string(l.rest[:i]))
		l.rest = l.rest[i+1:]
	}
}

func (l *lines) flush() {
	if len(l.rest) > 0 {
		l.t.Log(string(l.rest))
	}
}
