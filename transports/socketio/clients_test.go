package socketio

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/internal/testenv"
)

// TestClientsSeeWhatTheySeeOfNodeJS runs one script with official clients of each major version at a server of ours and
// at the Node.js server. What they see is to be the same.
func TestClientsSeeWhatTheySeeOfNodeJS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	for _, client := range []string{"client1", "client2", "client3", "client4"} {
		for _, transport := range []string{"websocket", "polling", "upgrade"} {
			t.Run(client+"/"+transport, func(t *testing.T) {
				ours, theirs := clientsServers(t), nodeServers(t, dir)
				want := make(chan []string)
				go func() { want <- transcript(t, dir, client, transport, theirs) }()
				got := transcript(t, dir, client, transport, ours)
				compare(t, got, <-want)
			})
		}
	}
}

// nodeServers starts server.mjs.
func nodeServers(t *testing.T, dir string) (addresses map[string]string) {
	t.Helper()
	p := testenv.Start(t, testenv.Command{
		Path: testenv.Node(t), Args: []string{"server.mjs"}, Dir: dir, Ready: testenv.ReadyOutput("}"),
	})
	if err := json.Unmarshal([]byte(p.Output()), &addresses); err != nil {
		t.Fatalf("%v: %s", err, p.Output())
	}
	return addresses
}

// transcript runs scenario.mjs and returns what it saw, a line for each chapter. Any goroutine.
func transcript(t *testing.T, dir, client, transport string, servers map[string]string) []string {
	addresses, err := json.Marshal(servers)
	if err != nil {
		t.Error(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 4*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, testenv.Node(t), "scenario.mjs")
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "SERVERS="+string(addresses), "CLIENT="+client, "TRANSPORT="+transport, "NODE_OPTIONS=--no-deprecation")
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr, cmd.WaitDelay = &out, &errs, 10*time.Second
	if err := cmd.Run(); err != nil || errs.Len() > 0 {
		t.Errorf("scenario.mjs at %s: %v\n%s", addresses, err, &errs)
	}
	return strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
}

// chapter is a part of a transcript: a name, and lines that begin with what they are about.
type chapter struct {
	Chapter string
	Lines   []json.RawMessage
}

// compare says where two transcripts differ.
func compare(t *testing.T, ours, theirs []string) {
	t.Helper()
	if len(ours) != len(theirs) || len(theirs) < 20 {
		t.Fatalf("%d chapters, of the Node.js server %d", len(ours), len(theirs))
	}
	for i := range theirs {
		var got, want chapter
		for text, into := range map[string]*chapter{ours[i]: &got, theirs[i]: &want} {
			if err := json.Unmarshal([]byte(text), into); err != nil {
				t.Fatalf("%v: %s", err, text)
			}
		}
		if strings.Contains(theirs[i], `["FAILED"`) {
			t.Errorf("%s: the Node.js server fails, %.2000s", want.Chapter, theirs[i])
			continue
		}
		if ours[i] == theirs[i] {
			continue
		}
		for j := range max(len(got.Lines), len(want.Lines)) {
			line := func(c chapter) string {
				if j < len(c.Lines) {
					return string(c.Lines[j])
				}
				return "nothing"
			}
			if g, w := line(got), line(want); g != w {
				t.Errorf("%s:\n%s\nNode.js:\n%s", want.Chapter, around(g, w), around(w, g))
			}
		}
	}
}

// around is the part of a text where it differs from another.
func around(text, other string) string {
	const most = 600
	i := 0
	for i < min(len(text), len(other)) && text[i] == other[i] {
		i++
	}
	if len(text) <= most {
		return text
	}
	from := max(0, i-most/2)
	return fmt.Sprintf("… %s …", text[from:min(len(text), from+most)])
}
