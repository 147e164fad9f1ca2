package load

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"flag"
	"io"
	"os"
	"regexp"
	"strings"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write testdata anew")

// sampleResults are two made-up measurements.
func sampleResults(mode string) []Result {
	p, err := Plan{Mode: mode, Clients: 1000, Window: 4, Duration: 3 * time.Second}.filled()
	if err != nil {
		panic(err)
	}
	var results []Result
	for i, name := range []string{"<greenroom>", "other"} {
		n := float64(i + 1)
		r := Result{
			Peer: name, Protocol: EIO4, Plan: p, Began: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Seconds: 3, Unit: p.unit(),
			Server: Usage{CPUPercent: 50 * n, CPUSeconds: 1.5 * n, RSS: 20 << 20 * int64(i+1), BaselineRSS: 10 << 20, PerSession: 4000 * n},
		}
		for s := range 3 {
			r.Series = append(r.Series, Sample{At: float64(s + 1), Count: 1000, PerSecond: 1000 / n, ServerPercent: 50 * n, ServerRSS: 20 << 20, OwnPercent: 30})
		}
		if mode != Idle {
			r.Count, r.PerSecond, r.ServerMicros, r.OwnMicros = 3_000_000, 1_000_000/n, .5*n, .3
			r.Latency = Latency{Mean: 900, P50: 800, P90: 1500, P99: 9_999, P999: 20_000, Max: 11_000_000}
			for _, q := range percents {
				r.Latency.Distribution = append(r.Latency.Distribution, Quantile{q, int64(100 + 10*q*n)})
			}
		}
		results = append(results, r)
	}
	return results
}

// outline is a page's tags and texts, without the lines of the charts and the JSON.
func outline(t *testing.T, page []byte) string {
	t.Helper()
	d := xml.NewDecoder(bytes.NewReader(page))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var b strings.Builder
	skip, depth := 0, 0
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return b.String()
		}
		if err != nil {
			t.Fatal(err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if skip > 0 || e.Name.Local == "pre" || e.Name.Local == "style" {
				skip++
			}
			if e.Name.Local != "path" && skip == 0 && e.Name.Local != "circle" {
				b.WriteString(strings.Repeat(" ", depth) + e.Name.Local + "\n")
			}
			depth++
		case xml.EndElement:
			depth--
			skip = max(skip-1, 0)
		case xml.CharData:
			if text := strings.TrimSpace(string(e)); text != "" && skip == 0 {
				b.WriteString(strings.Repeat(" ", depth) + `"` + text + "\"\n")
			}
		}
	}
}

func TestReport(t *testing.T) {
	for _, mode := range []string{Fanout, Idle} {
		var b bytes.Buffer
		if err := WriteHTML(&b, sampleResults(mode)); err != nil {
			t.Fatal(err)
		}
		if bad := regexp.MustCompile(`<script|<link|<img|src=|url\(|href="http|<greenroom>`).FindString(b.String()); bad != "" {
			t.Errorf("%s: the page holds %q", mode, bad)
		}
		got, file := outline(t, b.Bytes()), "testdata/report-"+mode+".txt"
		if *update {
			if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if got != string(want) {
			t.Errorf("%s: the page has changed (see %s, -update):\n%s", mode, file, got)
		}
	}
	if err := WriteHTML(io.Discard, nil); err == nil {
		t.Error("a report of nothing")
	}
}

func TestReportOfFaults(t *testing.T) {
	rs := sampleResults(Echo)
	rs[1].Faults = Faults{Missing: 3, Stray: 1}
	rs[1].Interrupted = true
	var b bytes.Buffer
	if err := WriteHTML(&b, rs); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"Messages went wrong", "3 missing, 1 stray", "(interrupted)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the page lacks %q", want)
		}
	}
	// Without samples and latencies there are no charts, and that is no error.
	for i := range rs {
		rs[i].Series, rs[i].Latency = nil, Latency{}
	}
	b.Reset()
	if err := WriteHTML(&b, rs); err != nil || strings.Contains(b.String(), "<svg") {
		t.Error(err)
	}
}

// The command, from its flags to its files.
func TestExecute(t *testing.T) {
	addr, dir := greenroom(t, nil), t.TempDir()
	c := Command{
		Mode: Fanout, Transport: WebSocket, Clients: 5, Rooms: 1, Window: 1, Size: 64, Duration: 200 * time.Millisecond, Dialing: 4,
		Rate: 100, Protocol: EIO4, Address: "http://" + addr + "/", Rounds: 3, JSON: "-", HTML: dir + "/report.html", Progress: "on",
	}
	var out, errs bytes.Buffer
	if err := c.Execute(within(t), &out, &errs); err != nil {
		t.Fatal(err)
	}
	var results []Result
	if err := json.Unmarshal(out.Bytes(), &results); err != nil || len(results) != 1 || results[0].Peer != addr || results[0].Count == 0 || results[0].Plan.Rate != 100 {
		t.Errorf("%v: %s", err, &out)
	}
	if page, err := os.ReadFile(c.HTML); err != nil || !bytes.Contains(page, []byte(addr)) {
		t.Error(err)
	}
	for _, want := range []string{"fanout: 5 clients in 1 room(s), messages of 64 bytes, 100/s", "deliveries/s", "generator", addr} {
		if !strings.Contains(errs.String(), want) {
			t.Errorf("lacks %q:\n%s", want, &errs)
		}
	}
	if n := strings.Count(errs.String(), "\n"+addr); n != 3 {
		t.Errorf("%d lines of 3 rounds:\n%s", n, &errs)
	}
	c.HTML = dir + "/no/such/folder"
	if err := c.Execute(within(t), io.Discard, io.Discard); err == nil || !strings.Contains(err.Error(), "no/such") {
		t.Error(err)
	}
}

// A run that goes wrong says so, and what is in the files counts all the same.
func TestExecuteFaults(t *testing.T) {
	addr := newLiar(t, func(m, n int, push string) []string {
		if n == 3 && m == 0 {
			return []string{push, push}
		}
		return []string{push}
	})
	c := Command{
		Mode: Fanout, Transport: WebSocket, Clients: 5, Rooms: 1, Window: 1, Size: 64, Duration: 500 * time.Millisecond, Dialing: 4,
		Protocol: Centrifuge, Address: addr, Rounds: 1, JSON: t.TempDir() + "/r.json", Progress: "off",
	}
	var out, errs bytes.Buffer
	err := c.Execute(within(t), &out, &errs)
	if !errors.As(err, new(*FaultError)) || err.Error() != addr+": messages went wrong: 1 duplicated" || errs.Len() > 0 || !strings.Contains(out.String(), "WRONG: 1 duplicated") {
		t.Errorf("%v\n%s%s", err, &out, &errs)
	}
	if text, err := os.ReadFile(c.JSON); err != nil || !bytes.Contains(text, []byte(`"duplicated": 1`)) {
		t.Errorf("%v: %s", err, text)
	}
}

func TestExecuteMisuse(t *testing.T) {
	good := Command{
		Mode: Fanout, Transport: WebSocket, Clients: 5, Rooms: 1, Window: 1, Size: 64, Duration: time.Second, Dialing: 4,
		Protocol: EIO4, Address: "127.0.0.1:1", Rounds: 1, Progress: "off",
	}
	for says, change := range map[string]func(*Command){
		"nothing to measure":  func(c *Command) { c.Address = "" },
		`address "x"`:         func(c *Command) { c.Address = "x" },
		"--clients 0":         func(c *Command) { c.Clients = 0 },
		"--rounds -1":         func(c *Command) { c.Rounds = -1 },
		"--duration 0s":       func(c *Command) { c.Duration = 0 },
		"deflate is":          func(c *Command) { c.Deflate, c.Transport = true, Polling },
		"size 3":              func(c *Command) { c.Size = 3 },
		`--cmd "a=b"`:         func(c *Command) { c.Cmd = []string{"a=b"} },
		`--cmd "={port}"`:     func(c *Command) { c.Cmd = []string{"={port}"} },
		`--cmd "a+b={port}"`:  func(c *Command) { c.Cmd = []string{"a+b={port}"} },
		`--cmd "+eio4={port}`: func(c *Command) { c.Cmd = []string{"+eio4={port}"} },
		"centrifuge has no":   func(c *Command) { c.Cmd, c.Transport = []string{"a+centrifuge=x {port}"}, Polling },
	} {
		c := good
		change(&c)
		err := c.Execute(t.Context(), io.Discard, io.Discard)
		if !errors.As(err, new(*UsageError)) || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
}

func TestPeers(t *testing.T) {
	c := Command{Cmd: []string{"a=x {port}", "b+relay=y --port={port}"}, Address: "h:1", Protocol: EIO3, PID: 7}
	peers, err := c.peers()
	if err != nil || len(peers) != 3 {
		t.Fatal(peers, err)
	}
	if a, b, d := peers[0], peers[1], peers[2]; a.Name != "a" || a.Protocol != EIO3 || b.Name != "b+relay" || b.Protocol != Relay ||
		b.Command[1] != "--port={port}" || d.Addr != "h:1" || d.PID != 7 || d.Protocol != EIO3 {
		t.Errorf("%+v", peers)
	}
}

func TestMicros(t *testing.T) {
	for us, want := range map[int64]string{0: "0 µs", 9_999: "9999 µs", 10_000: "10.0 ms", 9_999_000: "9999.0 ms", 61_000_000: "1m1s"} {
		if got := micros(us); got != want {
			t.Errorf("%d: %s, want %s", us, got, want)
		}
	}
	for n, want := range map[uint64]string{0: "0", 999: "999", 1000: "1\u202f000", 1234567: "1\u202f234\u202f567"} {
		if got := grouped(n); got != want {
			t.Errorf("%d: %s, want %s", n, got, want)
		}
	}
}
