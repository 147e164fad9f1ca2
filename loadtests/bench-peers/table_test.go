package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"greenroom/loadtests/load"
)

var update = flag.Bool("update", false, "write the golden files anew")

// sample is a record with a bit of everything: medians, a server that fails, one that fails at times, one that loses
// messages, rows that were not measured.
func sample() record {
	rec := record{
		Machine: machine{
			Date: "2026-01-02", Kernel: "Linux 6.1", Processor: "A processor", Cores: 2, Memory: "8388600 kB", Go: "go1.26.0", Node: "v20.0.0", Python: "3.11.2",
		},
		Runs: 2,
	}
	add := func(row, peer string, cpu, perSecond float64, edit ...func(*load.Result)) {
		r := &load.Result{Seconds: 3, ServerMicros: cpu, OwnMicros: 1, PerSecond: perSecond, Latency: load.Latency{P50: 900, P99: 12_345}}
		for _, e := range edit {
			e(r)
		}
		rec.add(measurement{Row: row, Peer: peer, Result: r})
	}
	memory := func(bytes, percent float64) func(*load.Result) {
		return func(r *load.Result) { r.Server.PerSession, r.Server.CPUPercent = bytes, percent }
	}
	add("fanout", greenroom, 1.1, 900_000)
	add("fanout", greenroom, 0.9, 1_100_000)
	add("fanout", greenroom, 1.0, 1_000_000)
	add("fanout", "centrifuge", 2, 500_000)
	add("fanout", "nodejs", 4, 250_000)
	add("fanout", "rawwrite", 3, 300_000)
	add("paced", greenroom, 5, 50_000, func(r *load.Result) { r.Faults.Missing = 3 })
	add("paced", "centrifuge", 10, 50_000)
	add("idle", greenroom, 0, 0, memory(3<<10, .5))
	add("idle", "centrifuge", 0, 0, memory(24<<10, 1))
	rec.add(measurement{Row: "n/15000", Peer: "nodejs", Error: "client 9 of 15000:\n\tthe server closed the connection"})
	add("n/15000", "nodejs", 8, 100_000)
	rec.add(measurement{Row: "n/15000", Peer: "gevent", Error: "ended before it listened"})
	add("n/15000", greenroom, 2, 400_000)
	return rec
}

func golden(t *testing.T, name string, got []byte) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := writeFile(path, got); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s differs (go test -update writes it anew); got:\n%s", path, got)
	}
}

func TestTableForATerminal(t *testing.T) {
	var out bytes.Buffer
	if err := tabulate(sample().Measurements).print(&out); err != nil {
		t.Fatal(err)
	}
	golden(t, "table.txt", out.Bytes())
}

func TestDocument(t *testing.T) {
	text, err := render(sample())
	if err != nil {
		t.Fatal(err)
	}
	golden(t, "benchmarks.md", text)
}

func TestVerdicts(t *testing.T) {
	got := map[string]verdict{}
	for _, v := range judge(tabulate(sample().Measurements)) {
		got[v.row+": "+v.text] = v
	}
	for text, want := range map[string]verdict{
		"1 room of 1 000: CPU ≤ 0.6 × Centrifuge 0.40.0":                 {met: true, done: true, got: "0.50"},
		"1 room of 1 000: CPU ≤ 0.2 × Socket.IO 4.8.4 (Node.js)":         {done: true, got: "0.25"},
		"1 room of 1 000: deliveries/s ≥ 1.25 × Centrifuge 0.40.0":       {met: true, done: true, got: "2.00"},
		"1 room of 1 000, 50 messages/s: CPU ≤ 0.65 × Centrifuge 0.40.0": {done: true, got: "0.50 (3 missing)"},
		"1 room of 15 000: CPU ≤ 1 × Centrifuge 0.40.0":                  {got: "nothing of the other: it was not asked"},
		"15 000 idle sessions: memory ≤ 4 KB a session":                  {met: true, done: true, got: "3.00"},
		"15 000 idle sessions: CPU at rest ≤ 1 % of a core":              {met: true, done: true, got: "0.50"},
	} {
		v, ok := got[text]
		if !ok {
			t.Errorf("no bar %q", text)
			continue
		}
		v.row, v.text = "", ""
		if v != want {
			t.Errorf("%s: %+v, want %+v", text, v, want)
		}
	}
	if n := len(got); n != 9 {
		t.Errorf("%d bars of 4 rows, want 9", n)
	}
}

// A figure just beyond a bar is written so that one sees it.
func TestVerdictsHaveEnoughDigits(t *testing.T) {
	b := bar{row: "connect", what: "connects/s", figure: paceOf, factor: 1, peer: "centrifuge"}
	for perSecond, want := range map[float64]string{999: "0.999", 990: "0.99", 1000: "1.00", 1001: "1.00"} {
		mine := figures{runs: 1, perSecond: perSecond}
		v := b.judge(table{"connect": {greenroom: mine, "centrifuge": {runs: 1, perSecond: 1000}}}, mine)
		if v.got != want || v.met != (perSecond >= 1000) {
			t.Errorf("%g: %q, %t; want %q", perSecond, v.got, v.met, want)
		}
	}
}

// Every bar is about rows and peers that there are, and the rows about peers.
func TestBarsAndRowsNameWhatThereIs(t *testing.T) {
	for _, b := range bars {
		r, ok := rowNamed(b.row)
		if !ok {
			t.Errorf("no row %q", b.row)
		}
		if b.peer == "" {
			continue
		}
		p, ok := peerNamed(b.peer)
		if !ok || r.refuses(p) != "" {
			t.Errorf("the bar of %s has no figure of %q: %s", b.row, b.peer, r.refuses(p))
		}
	}
	for _, r := range rows {
		if err := r.plan.Check(); err != nil {
			t.Errorf("%s: %v", r.key, err)
		}
		for _, name := range r.only {
			if _, ok := peerNamed(name); !ok {
				t.Errorf("%s: no peer %q", r.key, name)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	o, err := parse([]string{"-rows", "rooms,echo", "-peers", "nodejs,greenroom"}, os.Stderr)
	if err != nil {
		t.Fatal(err)
	}
	var keys, names []string
	for _, r := range o.rows {
		keys = append(keys, r.key)
	}
	for _, p := range o.peers {
		names = append(names, p.name)
	}
	if got := strings.Join(keys, " ") + ", " + strings.Join(names, " "); got != "rooms/10x100 rooms/100x10 rooms/1000x1 echo, greenroom nodejs" {
		t.Error(got)
	}
	for _, wrong := range [][]string{{"-rows", "nothing"}, {"-peers", "nobody"}, {"-rounds", "-1"}, {"-json", ""}, {"more"}} {
		if _, err := parse(wrong, os.Stderr); err == nil {
			t.Errorf("%v is accepted", wrong)
		}
	}
}

// A record goes on with one of the same machine and day, and with no other.
func TestRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "deep", "record.json")
	rec := sample()
	if err := rec.save(path); err != nil {
		t.Fatal(err)
	}
	again, err := openRecord(path, true, rec.Machine)
	if err != nil {
		t.Fatal(err)
	}
	if len(again.Measurements) != len(rec.Measurements) || again.Runs != rec.Runs {
		t.Errorf("%d measurements of %d runs came back, want %d of %d", len(again.Measurements), again.Runs, len(rec.Measurements), rec.Runs)
	}
	again.forget("fanout", greenroom)
	if n := len(again.Measurements); n != len(rec.Measurements)-3 {
		t.Errorf("%d measurements are left, want 3 less than %d", n, len(rec.Measurements))
	}
	other := rec.Machine
	other.Date = "2026-01-03"
	if _, err := openRecord(path, true, other); err == nil {
		t.Error("the record of another day is gone on with")
	}
	if fresh, err := openRecord(path, false, other); err != nil || len(fresh.Measurements) != 0 {
		t.Errorf("a new record has %d measurements, %v", len(fresh.Measurements), err)
	}
	if _, err := openRecord(filepath.Join(t.TempDir(), "none"), true, other); err != nil {
		t.Error(err)
	}
	if left, _ := filepath.Glob(path + ".*"); len(left) > 0 {
		t.Errorf("left behind: %v", left)
	}
}

// Peers take turns; who fails twice is not asked again, who fails once is; what goes wrong with messages leaves the
// figures.
func TestTurns(t *testing.T) {
	pick := func(names ...string) (ps []peer) {
		for _, n := range names {
			ps = append(ps, peer{name: n, command: []string{"true"}})
		}
		return ps
	}
	var asked []string
	flaky := 0
	var rec record
	var out bytes.Buffer
	saves := 0
	b := bench{
		dir:    t.TempDir(),
		rows:   []row{{key: "a/1", plan: load.Plan{Clients: 1}}, {key: "a/2", plan: load.Plan{Clients: 2}, most: 1}, {key: "b"}},
		peers:  pick("good", "bad", "flaky", "lossy"),
		rounds: 2, record: &rec, out: &out,
		saved: func() error { saves++; return nil },
		run: func(_ context.Context, _ load.Plan, p load.Peer) (load.Result, error) {
			asked = append(asked, p.Name)
			switch p.Name {
			case "bad":
				return load.Result{}, errors.New("it fell")
			case "flaky":
				if flaky++; flaky == 1 {
					return load.Result{}, errors.New("once")
				}
			case "lossy":
				f := load.Faults{Missing: 2}
				return load.Result{Seconds: 1, Faults: f}, &load.FaultError{Faults: f}
			}
			return load.Result{Seconds: 1}, nil
		},
	}
	// None of these is a module or a package, and `true` imports everything.
	if err := b.measure(t.Context()); err != nil {
		t.Fatal(err)
	}
	want := "good bad bad flaky flaky lossy " + // a/1
		"good bad bad flaky lossy " + // a/2
		"flaky lossy good " + // a/1 again, beginning with the next: bad is gone
		"good bad bad flaky lossy flaky lossy good" // b
	if got := strings.Join(asked, " "); got != want {
		t.Errorf("asked:\n%s, want\n%s", got, want)
	}
	if saves != 2 {
		t.Errorf("saved %d times, want once a group", saves)
	}
	lost := 0
	for _, m := range rec.Measurements {
		if m.Peer == "lossy" && m.Result != nil && m.Result.Faults.Missing == 2 {
			lost++
		}
	}
	if lost != 5 {
		t.Errorf("%d measurements with faults are kept, want 5", lost)
	}
	if !strings.Contains(out.String(), "2 missing") || !strings.Contains(out.String(), "it fell") {
		t.Errorf("progress says:\n%s", &out)
	}
}

func TestTurnsEndWithTheContext(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var rec record
	b := bench{
		dir: t.TempDir(), rows: rows, peers: []peer{{name: greenroom, command: []string{"true"}}}, rounds: 3, record: &rec, out: new(bytes.Buffer),
		saved: func() error { return nil },
		run: func(context.Context, load.Plan, load.Peer) (load.Result, error) {
			cancel()
			return load.Result{Interrupted: true, Seconds: .1}, nil
		},
	}
	if err := b.measure(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
	if len(rec.Measurements) != 0 {
		t.Error("half a measurement is recorded")
	}
}

func TestHeartbeatIsThatOfTheIdleRow(t *testing.T) {
	r, _ := rowNamed("idle")
	if r.plan.Duration != 25*time.Second {
		t.Errorf("idle sessions are measured for %s: every one must have one heartbeat", r.plan.Duration)
	}
}
