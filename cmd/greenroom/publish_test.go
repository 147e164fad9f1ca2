package main

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/transports/zeromq"
)

// TestListenShowsEverything: binary values too, over either wire, and rooms that only begin like the one
// asked for on neither.
func TestListenShowsEverything(t *testing.T) {
	r := serve(t)
	for name, from := range map[string]string{"ZeroMQ": r.pub, "Socket.IO": r.url} {
		t.Run(name, func(t *testing.T) {
			lines := listen(t, "--from", from, "lobby")
			p, err := zeromq.Push(context.Background(), r.pull)
			if err != nil {
				t.Fatal(err)
			}
			send := func(frames ...string) {
				t.Helper()
				raw := make([][]byte, len(frames))
				for i := range frames {
					raw[i] = []byte(frames[i])
				}
				if err := p.Send(raw...); err != nil {
					t.Fatal(err)
				}
			}
			for there := false; !there; { // it hears once it is there
				send("lobby", "marker", "")
				select {
				case <-lines:
					there = true
				case <-time.After(20 * time.Millisecond):
				}
			}
			send("lobby2", "e", "another room")
			send("lobby", "image", "\xff\x00\xfe", `{"w":1}`, "text")
			send("lobby", "\x1b[2J", "x")
			if err := p.Close(); err != nil {
				t.Fatal(err)
			}
			var got []string
			for len(got) < 2 {
				if line := next(t, lines); !strings.Contains(line, "marker") {
					got = append(got, line)
				}
			}
			if !strings.HasPrefix(got[0], `{"args":["\u003c3 bytes\u003e",{"w":1},"text",{"room":"lobby",`) || !strings.HasSuffix(got[0], `"event":"image","room":"lobby"}`) {
				t.Errorf("showed %s", got[0])
			}
			if !strings.Contains(got[1], `"event":"\u001b[2J"`) {
				t.Errorf("showed %s", got[1])
			}
		})
	}
}

// TestPrintKeepsTerminalsSafe: what clients choose never reaches the terminal as it is.
func TestPrintKeepsTerminalsSafe(t *testing.T) {
	var out strings.Builder
	c := listenCmd{}
	if err := c.print(&out, "größe", "\x1b[2J", []any{"a\x1b\n", "ü", map[string]int{"n": 1}}); err != nil {
		t.Fatal(err)
	}
	if want := `größe  "\x1b[2J"  "a\u001b\n"  "ü"  {"n":1}` + "\n"; out.String() != want {
		t.Errorf("printed %s, want %s", out.String(), want)
	}
}

func TestTextOrJSON(t *testing.T) {
	for in, isJSON := range map[string]bool{
		`{"a":1}`: true, " [1]\n": true, "[]": true,
		"42": false, "null": false, `"x"`: false, "": false, "{": false, "[1] [2]": false, "hello": false,
	} {
		if _, text := textOrJSON(in).(string); text == isJSON {
			t.Errorf("%q", in)
		}
	}
}

// TestPublishOverZeroMQRefuses what the server would drop without a word.
func TestPublishOverZeroMQRefuses(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"$room", "x"}, "are reserved"}, {[]string{"", "x"}, "needs a name"}, {[]string{"a\nb", "x"}, "control character"},
		{[]string{"room", "connect", "x"}, `event "connect" is reserved`}, {[]string{"room", "presence", "x"}, `event "presence" is reserved`},
		{[]string{"room", "", "x"}, "the event has no name"}, {[]string{"room", strings.Repeat("e", 256), "x"}, "longer than 255 bytes"},
		{[]string{"room", "e", strings.Repeat("[", 65) + strings.Repeat("]", 65)}, "nested 65 deep"},
	} {
		code, _, said := command(t, append([]string{"publish", "--to", r.pull}, c.args...)...)
		if code != 1 || !strings.HasPrefix(said, "greenroom: ") || !strings.Contains(said, c.says) || strings.Contains(said, "zeromq_") {
			t.Errorf("%q: exit %d, said %q", c.args, code, said)
		}
	}
}

// TestNobodyForgesPresence: whichever way it comes in, a message called presence reaches nobody.
func TestNobodyForgesPresence(t *testing.T) {
	r := serve(t)
	zmq, sio := listen(t, "--from", r.pub, "lobby"), listen(t, "--from", r.url, "lobby")
	push, err := zeromq.Push(context.Background(), r.pull)
	if err != nil {
		t.Fatal(err)
	}
	send := func(frames ...string) {
		t.Helper()
		raw := make([][]byte, len(frames))
		for i := range frames {
			raw[i] = []byte(frames[i])
		}
		if err := push.Send(raw...); err != nil {
			t.Fatal(err)
		}
	}
	for _, lines := range []<-chan string{zmq, sio} {
		for there := false; !there; {
			send("lobby", "marker", "")
			select {
			case <-lines:
				there = true
			case <-time.After(20 * time.Millisecond):
			}
		}
	}
	send("lobby", "presence", `{"joined":[]}`)
	send(`{"room":"lobby","event":"presence","data":{"left":[]}}`)
	for _, to := range []string{r.pull, r.url} {
		if code, _, said := command(t, "publish", "--to", to, "lobby", "presence", "{}"); code != 1 || !strings.Contains(said, "reserved") {
			t.Errorf("publish --to %s: exit %d, said %q", to, code, said)
		}
	}
	send("lobby", "end", "")
	if err := push.Close(); err != nil {
		t.Fatal(err)
	}
	for name, lines := range map[string]<-chan string{"ZeroMQ": zmq, "Socket.IO": sio} {
		for {
			line := next(t, lines)
			if strings.Contains(line, "presence") {
				t.Errorf("%s: heard %s", name, line)
			}
			if strings.Contains(line, `"event":"end"`) {
				break
			}
		}
	}
	if _, body := get(t, r.url+"/metrics"); !strings.Contains(body, `greenroom_events_total{reason="zeromq_bad_event"} 2`) {
		t.Errorf("the refusals are not counted:\n%s", body)
	}
}

// TestWrongPort: ZeroMQ spoken to an endpoint of another kind is answered with the reason.
func TestWrongPort(t *testing.T) {
	r := serve(t)
	http := strings.TrimPrefix(r.url, "http://")
	for _, c := range []struct {
		args []string
		says []string
	}{
		{[]string{"publish", "--to", r.pub, "lobby", "x"}, []string{`"PUSH" peer on a XPUB endpoint`}},
		{[]string{"publish", "--to", r.sub, "lobby", "x"}, []string{`"PUSH" peer on a SUB endpoint`}},
		{[]string{"listen", "--from", r.pull, "lobby"}, []string{`"SUB" peer on a PULL endpoint`}},
		{[]string{"publish", "--timeout", "500ms", "--to", "tcp://" + http, "lobby", "x"}, []string{"no greeting", "--to http://" + http}},
	} {
		code, _, said := command(t, c.args...)
		if slices.Contains(c.args, "500ms") && !strings.Contains(said, c.says[0]) { // not even connected, on a slow machine
			c.args[2] = "4s"
			code, _, said = command(t, c.args...)
		}
		if code != 1 || strings.Count(said, "\n") != 1 {
			t.Errorf("%q: exit %d, said %q", c.args, code, said)
		}
		for _, want := range c.says {
			if !strings.Contains(said, want) {
				t.Errorf("%q: said %q, want %q in it", c.args, said, want)
			}
		}
	}
}

// TestPublishEndsInTime against a server that accepts and says nothing, and one that never reads.
func TestPublishEndsInTime(t *testing.T) {
	silent := silentServer(t)
	for _, to := range []string{"tcp://" + silent, "http://" + silent} {
		start := time.Now()
		code, _, said := command(t, "publish", "--to", to, "--timeout", "200ms", "room", "x")
		if code != 1 || said == "" || time.Since(start) > 15*time.Second {
			t.Errorf("%s: exit %d after %v, said %q", to, code, time.Since(start), said)
		}
	}
}
