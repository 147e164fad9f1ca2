//go:build linux

package main

import (
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestFrames(t *testing.T) {
	for _, n := range []int{0, 1, 125, 126, 65535, 65536} {
		text := strings.Repeat("x", n)
		f := appendFrame(nil, text)
		// A client's frame is a server's with the mask bit and a key of four bytes.
		f[1] &^= 0x80
		first, size, at, ok := frameHead(f)
		if !ok || first != textFrame || size != n || string(f[at+4:]) != text {
			t.Errorf("%d bytes: %x %d %d %v", n, first, size, at, ok)
		}
		for cut := range at {
			if _, _, _, ok := frameHead(f[:cut]); ok {
				t.Errorf("%d bytes: a head of %d bytes passes", n, cut)
			}
		}
	}
}

func TestSeq(t *testing.T) {
	buf := make([]byte, seqDigits)
	for _, seq := range []uint32{0, 1, 0xdeadbeef, 1<<32 - 1} {
		putSeq(buf, seq)
		if got, ok := getSeq(buf); !ok || got != seq {
			t.Errorf("%x: %x %v", seq, got, ok)
		}
	}
	for _, bad := range []string{"", "0000000", "0000000g", "0000000G"} {
		if _, ok := getSeq([]byte(bad)); ok {
			t.Errorf("%q passes", bad)
		}
	}
}

func TestHistogram(t *testing.T) {
	var h histogram
	for us := 1; us <= 10_000; us++ {
		h.add(time.Duration(us) * time.Microsecond)
	}
	for q, want := range map[float64]float64{.5: 5000, .99: 9900, 0: 1} {
		if got := float64(h.quantile(q).Microseconds()); got < want*.96 || got > want*1.04 {
			t.Errorf("quantile %v: %v µs, want about %v", q, got, want)
		}
	}
	last := -1
	for us := time.Duration(0); us < time.Hour; us = us*9/8 + time.Microsecond {
		b := bucketOf(us)
		if v := valueOf(b); b < last || v > us || float64(v) < float64(us)*.96-1000 {
			t.Fatalf("%s lands in bucket %d, which begins at %s", us, b, v)
		}
		last = b
	}
}

func TestParse(t *testing.T) {
	o, err := parse([]string{"-clients", "7", "-cmd", "a=x {port}", "-cmd", "b+relay=y --port={port}"}, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	if o.clients != 7 || len(o.peers) != 2 || o.peers[1].name != "b+relay" || o.peers[1].dialect != dialects["relay"] {
		t.Errorf("%+v", o)
	}
	for _, args := range []string{"", "-cmd a=x", "-cmd =x{port}", "-cmd a+b={port}", "-url x -size 3", "-url x -window 0", "-url x -clients 0", "-url x y"} {
		if _, err := parse(strings.Fields(args), io.Discard); err == nil {
			t.Errorf("%q passes", args)
		}
	}
}

func TestUsage(t *testing.T) {
	u, err := usageOf(os.Getpid())
	if err != nil || u.rss < 1<<20 || u.cpu < 0 {
		t.Errorf("%+v %v", u, err)
	}
	if _, err := usageOf(1 << 30); err == nil {
		t.Error("a process that is not there has usage")
	}
}

func TestMedian(t *testing.T) {
	rs := []result{{ServerMicros: 3, PerSession: 1}, {ServerMicros: 1, PerSession: 9}, {ServerMicros: 2, PerSession: 5}}
	if m := median(rs, false); m.ServerMicros != 2 {
		t.Errorf("%+v", m)
	}
	if m := median(rs, true); m.PerSession != 5 {
		t.Errorf("%+v", m)
	}
}

// A peer that ends at once is reported with what it printed.
func TestPeerThatDies(t *testing.T) {
	p := peer{command: []string{"sh", "-c", "echo no such option; exit 2", "{port}"}}
	if _, err := exec.LookPath("sh"); err != nil {
		t.Fatal("this test needs sh")
	}
	if _, err := p.start(); err == nil || !strings.Contains(err.Error(), "no such option") {
		t.Errorf("got %v", err)
	}
}
