package adminui

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"testing"
	"time"

	"greenroom/hub"
)

// report is the arguments of the next server_stats.
func (c *client) report() (st serverStats) {
	c.t.Helper()
	for {
		var args []json.RawMessage
		if err := json.Unmarshal([]byte(c.event()), &args); err != nil {
			c.t.Fatal(err)
		}
		if string(args[0]) != `"server_stats"` {
			continue
		}
		if err := json.Unmarshal(args[1], &st); err != nil {
			c.t.Fatal(err)
		}
		return st
	}
}

func TestServerStats(t *testing.T) {
	f := serve(t, hub.Options{}, Options{Open: true, Mode: Production, Interval: 100 * time.Millisecond, ServerID: "here"})
	a := f.login(t, "")
	c := f.client(t)
	sums := make(map[string]int)
	first := time.Now().Add(-time.Minute)
	for sums["packetsIn"] < 3 || sums["rawDisconnection transport close"]+sums["rawDisconnection transport error"] == 0 {
		st := a.report()
		if st.ServerID != "here" || st.PID != os.Getpid() || st.Hostname == "" || st.Uptime <= 0 {
			t.Fatalf("%+v", st)
		}
		for _, e := range st.Events {
			if e.Timestamp%1000 != 0 || e.Count <= 0 || time.UnixMilli(e.Timestamp).Before(first) {
				t.Errorf("%+v", e)
			}
			name := e.Type
			if e.SubType != "" {
				name += " " + e.SubType
			}
			sums[name] += e.Count
		}
		if c != nil && st.Clients == 2 {
			if want := []namespaceSize{{"/", 1}, {"/admin", 1}}; !reflect.DeepEqual(st.Namespaces, want) {
				t.Errorf("namespaces %v", st.Namespaces)
			}
			c.call(`["yo"]`)
			c.close()
			c = nil
		}
	}
	// Two connections; what they sent is two CONNECTs of 1 and 8 bytes and an event.
	if sums["rawConnection"] != 2 || sums["packetsIn"] != 3 || sums["bytesIn"] != len("0")+len("0/admin,")+len(`27["yo"]`) {
		t.Errorf("%v", sums)
	}
	if sums["packetsOut"] < 5 || sums["bytesOut"] < 200 {
		t.Errorf("%v", sums)
	}
}

func TestAggregate(t *testing.T) {
	var b book
	b.opened()
	b.carried(packetsIn, bytesIn, 10)
	b.carried(packetsIn, bytesIn, 5)
	b.closed("transport close")
	rows := b.take()
	if len(b.take()) != 0 {
		t.Error("the book is not empty")
	}
	for i := range rows { // they may be of two seconds
		rows[i].second = 7
	}
	rows = append(rows, row{second: 7, counts: [kinds]int{bytesOut: 2}, ends: map[string]int{"transport close": 1, "ping timeout": 1}}, row{second: 6, counts: [kinds]int{connections: 4}})
	want := []aggregated{
		{6000, "rawConnection", "", 4},
		{7000, "rawConnection", "", 1}, {7000, "packetsIn", "", 2}, {7000, "bytesIn", "", 15}, {7000, "bytesOut", "", 2},
		{7000, "rawDisconnection", "ping timeout", 1}, {7000, "rawDisconnection", "transport close", 2},
	}
	if got := aggregate(rows); !reflect.DeepEqual(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if b, err := json.Marshal(aggregate(nil)); err != nil || string(b) != "[]" {
		t.Errorf("%s, %v", b, err)
	}
}

// Reasons can be an application's texts, and reports can be late.
func TestBookIsBounded(t *testing.T) {
	var b book
	for i := range 2 * maxReasons {
		b.closed(fmt.Sprint(i))
	}
	total := 0
	for _, r := range b.take() {
		if len(r.ends) > maxReasons+1 {
			t.Errorf("%d reasons", len(r.ends))
		}
		for _, n := range r.ends {
			total += n
		}
	}
	if total != 2*maxReasons {
		t.Errorf("%d ends are counted", total)
	}
	for i := range 2 * maxRows {
		b.opened()
		b.rows[len(b.rows)-1].second = int64(i) // long ago
	}
	if n := len(b.rows); n > maxRows {
		t.Errorf("%d rows", n)
	}
}

func TestSizesAreBounded(t *testing.T) {
	h := newHub(t, hub.Options{})
	for i := range maxListed + 5 {
		h.Of(fmt.Sprintf("/%04d", i))
	}
	if got := sizes(h.Namespaces()); len(got) != maxListed || got[0].Name != "/0000" {
		t.Errorf("%d namespaces, the first is %v", len(got), got[0])
	}
}

func BenchmarkCount(b *testing.B) {
	var page book
	for range b.N {
		page.carried(packetsOut, bytesOut, 100)
	}
}
