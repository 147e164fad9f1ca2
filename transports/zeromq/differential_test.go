package zeromq

import (
	"encoding/hex"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/go-zeromq/zmq4"

	"greenroom/hub"
)

// recorder is a layout that publishes nothing and keeps what it is given.
type recorder struct{ got chan string }

func (r recorder) Parse(frames [][]byte, _ Format) ([]hub.Publication, error) {
	var parts []string
	for _, f := range frames {
		parts = append(parts, hex.EncodeToString(f))
	}
	r.got <- "m" + strings.Join(parts, ",") // a message of one empty frame is something, too
	return nil, nil
}

// TestDifferential: of the same bytes a PULL of libzmq and ours deliver the same messages. Where ours ends the connection
// because of a violation, it may have delivered only the first of them: libzmq tolerates some violations.
func TestDifferential(t *testing.T) {
	n := 1000
	if testing.Short() {
		n = 100
	}
	rec := recorder{make(chan string, 100_000)}
	h := newFakeHub()
	b := listen(t, h, Options{Pull: anyPort, PullFormat: Format{Layout: rec}})
	p := python(t, "pull.py")
	waitOutput(t, p, "ready\n")
	at := strings.Fields(p.Output())
	theirs := ask(t, at[1], zmq4.Req)
	hello := rawHello("PUSH")
	seeds := [][]byte{
		concat(rawMessage("room", "event", "1"), rawMessage(""), rawMessage("", "", "")),
		concat(rawMessage("a"), rawCommand("PING", "\x00\x64ctx"), rawMessage("b", strings.Repeat("x", 300))),
		concat([]byte("\x01\x01a"), rawCommand("PING", "\x00\x00"), []byte("\x00\x01b"), rawCommand("PONG", ""), rawMessage("c")),
		concat([]byte("\x02\x00\x00\x00\x00\x00\x00\x00\x01s"), rawCommand("FUTURE", "x"), rawMessage("end")),
	}
	random := rand.New(rand.NewPCG(7, 11))
	play := func(endpoint string, input []byte) {
		c := rawVisit(t, endpoint)
		defer c.Close()
		_, _ = c.Write(hello)
		afterHandshake(t, c, 0) // libzmq forgets what comes before it has answered, when the peer leaves at once
		_, _ = c.Write(input)
		_ = c.(*net.TCPConn).CloseWrite()
		waitClosed(t, c)
	}
	delivered := 0
	for i := range n {
		body := append([]byte{}, seeds[i%len(seeds)]...)
		if i >= len(seeds) {
			for range 1 + random.IntN(3) {
				at := random.IntN(len(body))
				switch random.IntN(4) {
				case 0:
					body[at] ^= 1 << random.IntN(8)
				case 1:
					body[at] = []byte{0, 1, 2, 4, 6, 255}[random.IntN(6)]
				case 2:
					body = append(body[:at+1], body[at:]...)
				case 3:
					body = body[:at+1]
				}
			}
		}
		play(b.Addr("pull"), body)
		play(at[0], body)
		theirs.send("", "")
		want := strings.Fields(theirs.receive()[1])
		eventually(t, "the end of ours", func() bool { return b.Peers("pull") == 0 })
		var got []string
		for len(rec.got) > 0 {
			got = append(got, <-rec.got)
		}
		h.mu.Lock()
		refused := len(h.counts) > 0
		clear(h.counts)
		h.mu.Unlock()
		if refused && len(got) < len(want) {
			want = want[:len(got)]
		}
		if !slices.Equal(got, want) {
			t.Fatalf("stream %d, %x: ours delivered %q, libzmq %q", i, body, got, want)
		}
		delivered += len(got)
	}
	if delivered < n/2 {
		t.Errorf("%d messages of %d streams", delivered, n)
	}
}
