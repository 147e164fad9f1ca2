package load

import (
	"bytes"
	"compress/flate"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 127, 65535, 65536} {
		text := strings.Repeat("x", n)
		sealed := sealFrame(append(make([]byte, frameSpace), text...), opText)
		rest := bytes.NewReader(sealed)
		h, err := ws.ReadHeader(rest)
		if err != nil || !h.Masked || !h.Fin || h.OpCode != ws.OpText || h.Length != int64(n) || rest.Len() != n {
			t.Errorf("%d bytes: sealed as %+v with %d bytes, %v", n, h, rest.Len(), err)
			continue
		}
		payload := sealed[len(sealed)-n:]
		ws.Cipher(payload, h.Mask, 0)
		if string(payload) != text {
			t.Errorf("%d bytes: another payload", n)
		}
		var b bytes.Buffer
		if err := ws.WriteFrame(&b, ws.NewTextFrame([]byte(text))); err != nil {
			t.Fatal(err)
		}
		first, size, at, ok := frameHead(b.Bytes())
		if !ok || first != finBit|opText || size != n || string(b.Bytes()[at:]) != text {
			t.Errorf("%d bytes: read as %x %d %d %v", n, first, size, at, ok)
		}
		for cut := range at {
			if _, _, _, ok := frameHead(b.Bytes()[:cut]); ok {
				t.Errorf("%d bytes: a head of %d bytes passes", n, cut)
			}
		}
	}
}

func TestHex(t *testing.T) {
	buf := make([]byte, digits)
	for _, n := range []uint32{0, 1, 0xdeadbeef, 1<<32 - 1} {
		putHex(buf, n)
		if got, ok := getHex(buf); !ok || got != n || string(buf) != fmt.Sprintf("%08x", n) {
			t.Errorf("%x: %s, %x %v", n, buf, got, ok)
		}
	}
	for _, bad := range []string{"", "0000000", "0000000g", "0000000G", "0000000A", "/0000000"} {
		if _, ok := getHex([]byte(bad)); ok {
			t.Errorf("%q passes", bad)
		}
	}
}

// A message that is cut anywhere, also in its head, and one in several frames, arrive whole.
func TestCutFrames(t *testing.T) {
	for _, cut := range []int{1, 2, 3, 7, 1000} {
		addr := raw(t, func(c net.Conn, _ string) {
			var all bytes.Buffer
			all.WriteString(switching)
			frame := func(fin bool, op ws.OpCode, p string) {
				if err := ws.WriteFrame(&all, ws.NewFrame(op, fin, []byte(p))); err != nil {
					panic(err)
				}
			}
			frame(false, ws.OpText, `0{"sid":"a",`)
			frame(true, ws.OpPing, "are you there")
			frame(false, ws.OpContinuation, `"pingInterval":`)
			frame(true, ws.OpContinuation, `25000}`)
			frame(true, ws.OpText, `2`)
			frame(true, ws.OpText, `40{"sid":"`+strings.Repeat("b", 200)+`"}`)
			for b := all.Bytes(); len(b) > 0; {
				n := min(cut, len(b))
				if _, err := c.Write(b[:n]); err != nil {
					return
				}
				b = b[n:]
			}
		})
		r, err := Run(within(t), short(func(p *Plan) { p.Mode = Idle; p.Clients = 2 }), Peer{Addr: addr})
		if err != nil || r.Seconds == 0 {
			t.Errorf("pieces of %d: %v", cut, err)
		}
	}
}

// A receiver finds what a plain comparison of two lists finds.
func TestReceiverAgreesWithTheModel(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for round := range 2000 {
		sent := uint32(rnd.IntN(20) + 1)
		var got []uint32
		for seq := range sent {
			for range []int{1, 1, 1, 1, 0, 2, 3}[rnd.IntN(7)] {
				got = append(got, seq)
			}
		}
		for range rnd.IntN(4) {
			if len(got) > 1 {
				i, j := rnd.IntN(len(got)), rnd.IntN(len(got))
				got[i], got[j] = got[j], got[i]
			}
		}
		var want, have Faults
		var r receiver
		seen := map[uint32]bool{}
		highest := -1
		for _, seq := range got {
			if seq == r.next {
				r.next++
			} else {
				first := r.got(seq, &have)
				if first == seen[seq] {
					t.Fatalf("round %d: %v: message %d is the first copy: %v", round, got, seq, first)
				}
			}
			switch {
			case seen[seq]:
				want.Duplicated++
			case int(seq) < highest:
				want.Misordered++
			}
			seen[seq] = true
			highest = max(highest, int(seq))
		}
		want.Missing = uint64(sent) - uint64(len(seen))
		have.Missing = r.missing(sent)
		if have != want {
			t.Fatalf("round %d: %v of %d: %+v, want %+v", round, got, sent, have, want)
		}
	}
}

// One who misses without end does not fill the memory, and misses nothing in the count.
func TestReceiverIsBounded(t *testing.T) {
	var r receiver
	var f Faults
	const last = 10 * maxGaps
	r.got(last, &f)
	if len(r.gaps) > maxGaps || r.missing(last+1) != last || f.Any() {
		t.Errorf("%d gaps, %d missing, %+v", len(r.gaps), r.missing(last+1), f)
	}
}

func TestLane(t *testing.T) {
	l := &lane{members: 2}
	var open []uint32
	rnd := rand.New(rand.NewPCG(3, 4))
	for range 20_000 {
		if len(open) == 0 || rnd.IntN(5) < 3 && len(open) < 3000 {
			open = append(open, l.begin(time.Duration(l.sent)))
			continue
		}
		i := rnd.IntN(len(open))
		seq := open[i]
		for range 2 {
			if at, ok := l.arrived(seq); !ok || at != time.Duration(seq) {
				t.Fatalf("message %d: %d %v", seq, at, ok)
			}
		}
		if _, ok := l.arrived(seq); ok {
			t.Fatalf("message %d arrives at a third member", seq)
		}
		open = slices.Delete(open, i, i+1)
		if l.open != len(open) {
			t.Fatalf("%d open, want %d", l.open, len(open))
		}
	}
	// One whose messages are lost forgets the oldest, and opens the window for others.
	l = &lane{members: 1}
	for range 3 * maxUnderWay {
		l.begin(0)
	}
	if len(l.ring) != maxUnderWay || l.open != maxUnderWay {
		t.Errorf("%d places, %d open", len(l.ring), l.open)
	}
	if _, ok := l.arrived(5); ok {
		t.Error("an old message is remembered")
	}
	if _, ok := l.arrived(l.sent - 5); !ok {
		t.Error("a young one is not")
	}
}

func TestPayloads(t *testing.T) {
	three := &pollLink{u: &user{run: &run{peer: Peer{Protocol: EIO3}}}}
	four := &pollLink{u: &user{run: &run{peer: Peer{Protocol: EIO4}}}}
	for _, packets := range [][]string{{"2"}, {"40", `42["x",":"]`}, {"4" + strings.Repeat("x", 1000), "3"}} {
		for _, l := range []*pollLink{three, four} {
			if got, err := l.split(l.join(packets)); err != nil || !slices.Equal(got, packets) {
				t.Errorf("%q: %q, %v", packets, got, err)
			}
		}
	}
	// Lengths are in UTF-16 units.
	if got, err := three.split("2:4ü3:4😀1:2"); err != nil || !slices.Equal(got, []string{"4ü", "4😀", "2"}) {
		t.Errorf("%q, %v", got, err)
	}
	for _, bad := range []string{"x", ":", "-1:x", "2:x", "1:xx", "1:2garbage", "2:4😀", "9999999999999999999999:x"} {
		if got, err := three.split(bad); err == nil {
			t.Errorf("%q passes as %q", bad, got)
		}
	}
}

// With and without a context that is taken over.
func TestInflate(t *testing.T) {
	for _, header := range []string{"permessage-deflate", "permessage-deflate; server_no_context_takeover; client_no_context_takeover"} {
		r := &run{plan: Plan{Deflate: true}}
		f, err := newInflater([]string{header}, r)
		if err != nil || f == nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		w, err := flate.NewWriter(&b, 5)
		if err != nil {
			t.Fatal(err)
		}
		filler := strings.Repeat("0123456789", 400)
		for i := range 50 {
			text := fmt.Sprintf("message %d %s %d", i/2, filler, i/2) // every one twice
			if !f.takeover {
				w.Reset(&b)
			}
			b.Reset()
			fmt.Fprint(w, text)
			if err := w.Flush(); err != nil {
				t.Fatal(err)
			}
			p := bytes.TrimSuffix(b.Bytes(), []byte{0, 0, 0xff, 0xff})
			got, err := f.inflate(p)
			if err != nil || string(got) != text {
				t.Fatalf("%s: message %d: %.40q, %v", header, i, got, err)
			}
		}
		if len(f.window) > deflateWindow || len(r.flate.known) > maxKnown || f.takeover != (r.inflated == 50) {
			t.Errorf("%s: %d bytes of window, %d messages known, %d inflated", header, len(f.window), len(r.flate.known), r.inflated)
		}
		if _, err := f.inflate([]byte{0xff, 0xff}); err == nil {
			t.Error("nonsense is inflated")
		}
	}
	r := &run{plan: Plan{Deflate: true}}
	for _, bad := range []string{"permessage-bzip2", "permessage-deflate, permessage-deflate", `permessage-deflate; a="`} {
		if _, err := newInflater([]string{bad}, r); err == nil {
			t.Errorf("%s passes", bad)
		}
	}
}

func TestPlanRefuses(t *testing.T) {
	nan := 0.0
	nan /= nan
	for says, p := range map[string]Plan{
		"mode":      {Mode: "dance"},
		"transport": {Transport: "pigeon"},
		"deflate":   {Transport: Polling, Deflate: true},
		"clients":   {Clients: -1},
		"rooms 11":  {Clients: 10, Rooms: 11},
		"rooms 2":   {Mode: Echo, Rooms: 2},
		"window":    {Window: maxWindow + 1},
		"size 15":   {Size: 15},
		"rate -1":   {Rate: -1},
		"rate NaN":  {Rate: nan},
		"duration":  {Duration: -1},
		"dialing":   {Dialing: -1},
	} {
		if err := p.Check(); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%+v: %v, want %s…", p, err, says)
		}
	}
	if err := (Plan{}).Check(); err != nil {
		t.Error(err)
	}
}

func TestPeerRefuses(t *testing.T) {
	for says, c := range map[string]struct {
		plan Plan
		peer Peer
	}{
		"protocol":                  {Plan{}, Peer{Addr: "a:1", Protocol: "smtp"}},
		"address":                   {Plan{}, Peer{Addr: "a"}},
		"the command":               {Plan{}, Peer{Command: []string{"server"}}},
		"centrifuge has no polling": {Plan{Transport: Polling}, Peer{Addr: "a:1", Protocol: Centrifuge}},
		"the protocol relay":        {Plan{Mode: Echo}, Peer{Addr: "a:1", Protocol: Relay}},
	} {
		if _, err := Run(t.Context(), c.plan, c.peer); err == nil || !strings.HasPrefix(err.Error(), says) {
			t.Errorf("%v, want %s…", err, says)
		}
	}
}

func TestDescriptors(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("no such limit")
	}
	err := checkDescriptors(1 << 30)
	if err == nil || !strings.Contains(err.Error(), "ulimit -n 1073741824") {
		t.Error(err)
	}
	if err := checkDescriptors(10); err != nil {
		t.Error(err)
	}
}

func TestReadTree(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("this test needs /proc")
	}
	r := &run{peer: Peer{PID: os.Getpid()}}
	before, err := r.readServer()
	if err != nil || before.rss < 1<<20 || before.processes < 1 {
		t.Fatalf("%+v, %v", before, err)
	}
	for began := time.Now(); time.Since(began) < 20*time.Millisecond; {
	}
	if after, err := r.readServer(); err != nil || after.cpu <= before.cpu {
		t.Errorf("%+v after %+v, %v", after, before, err)
	}
	if _, err := (&run{peer: Peer{PID: 1 << 30}}).readServer(); err == nil {
		t.Error("a process that is not there has usage")
	}
}

func TestMedian(t *testing.T) {
	rs := []Result{{ServerMicros: 3}, {ServerMicros: 1}, {ServerMicros: 2}}
	if m := Median(rs); m.ServerMicros != 2 {
		t.Errorf("%+v", m)
	}
	for i, per := range []float64{1, 9, 5} {
		rs[i].Plan.Mode, rs[i].Server.PerSession = Idle, per
	}
	if m := Median(rs); m.Server.PerSession != 5 {
		t.Errorf("%+v", m)
	}
}
