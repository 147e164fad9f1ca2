package main

import (
	"slices"
	"strings"
	"time"

	"greenroom/loadtests/load"
)

// A row is one line of the table: the same plan for every peer that can take part.
type row struct {
	key   string // for -rows; what stands before a "/" names a group
	title string
	plan  load.Plan
	only  []string // peers, or all; without the floor unless it is named
	most  int      // rounds, where one takes long and says enough; 0: as many as asked for
}

// Who takes part where not everybody does. A matrix has many cells; the slow peers would take minutes to say again
// what the first rows say.
var (
	withFloor = []string{greenroom, "centrifuge", "nodejs", "zishang520", "googollee", "gevent", "rawwrite"}
	fast      = []string{greenroom, "centrifuge", "nodejs", "rawwrite"}
)

// rows in the order of the table. Every fan-out is of messages with 64 bytes of text and a window of 4 unless its
// title says otherwise.
var rows = []row{
	{key: "fanout", title: "1 room of 1 000", plan: fanout(1000), only: withFloor},
	{key: "paced", title: "1 room of 1 000, 50 messages/s", plan: paced(1000, 50), only: withFloor},
	{key: "rooms/10x100", title: "10 rooms of 100", plan: inRooms(fanout(1000), 10), only: fast},
	{key: "rooms/100x10", title: "100 rooms of 10", plan: inRooms(fanout(1000), 100), only: fast},
	{key: "rooms/1000x1", title: "1 000 rooms of 1", plan: inRooms(fanout(1000), 1000), only: fast},
	{key: "size/16", title: "1 room of 1 000, 16 B", plan: sized(fanout(1000), 16), only: fast},
	{key: "size/1k", title: "1 room of 1 000, 1 KiB", plan: sized(fanout(1000), 1<<10), only: fast},
	{key: "size/16k", title: "1 room of 1 000, 16 KiB", plan: sized(fanout(1000), 16<<10), only: fast},
	{key: "n/10", title: "1 room of 10", plan: fanout(10), only: fast},
	{key: "n/15000", title: "1 room of 15 000", plan: fanout(15000), only: withFloor, most: 1},
	{key: "growth/1000", title: "1 room of 1 000, for growth", plan: fanout(1000), only: []string{greenroom, "centrifuge", "rawwrite"}},
	{key: "growth/10000", title: "1 room of 10 000, for growth", plan: fanout(10000), only: []string{greenroom, "centrifuge", "rawwrite"}},
	{key: "echo", title: "100 clients call and wait", plan: plan(load.Plan{Mode: load.Echo, Clients: 100}), only: withFloor},
	{key: "connect", title: "clients connect and leave", plan: plan(load.Plan{Mode: load.Connect, Clients: 32})},
	{key: "idle", title: "15 000 idle sessions", plan: idle(15000), most: 1},
	{key: "polling", title: "500 long-polling clients in a room, 10 messages/s", plan: polling(500, 10)},
	{key: "deflate", title: "1 room of 1 000, permessage-deflate", plan: deflated(fanout(1000))},
}

// plan fills in what all rows share.
func plan(p load.Plan) load.Plan {
	p.Size = 64
	p.Duration, p.WarmUp = 3*time.Second, 700*time.Millisecond
	return p
}

func fanout(n int) load.Plan {
	return plan(load.Plan{Mode: load.Fanout, Clients: n, Window: 4})
}

func paced(n int, rate float64) load.Plan {
	p := fanout(n)
	p.Window, p.Rate = 0, rate
	return p
}

func inRooms(p load.Plan, rooms int) load.Plan { p.Rooms = rooms; return p }
func sized(p load.Plan, size int) load.Plan    { p.Size = size; return p }
func deflated(p load.Plan) load.Plan           { p.Deflate = true; return p }

func polling(n int, rate float64) load.Plan {
	p := paced(n, rate)
	p.Transport = load.Polling
	p.Duration = 4 * time.Second
	return p
}

// idle is measured for as long as it takes from one heartbeat to the next, so that every session has exactly one.
func idle(n int) load.Plan {
	return load.Plan{Mode: load.Idle, Clients: n, Duration: heartbeat, WarmUp: 3 * time.Second}
}

const heartbeat = 25 * time.Second

// refuses is why a peer does not take part in a row, or "".
func (r row) refuses(p peer) string {
	switch {
	case r.plan.Transport == load.Polling && !p.polling:
		return "has no long polling"
	case r.plan.Deflate && !p.deflate:
		return "has no permessage-deflate"
	case r.only != nil && !slices.Contains(r.only, p.name), r.only == nil && p.floor:
		return "is not asked"
	}
	return ""
}

// chosen are the rows that a comma-separated list of keys or groups names; all for an empty one.
func chosen(list string) (picked []row, unknown string) {
	if list == "" {
		return rows, ""
	}
	for key := range strings.SplitSeq(list, ",") {
		n := len(picked)
		for _, r := range rows {
			if r.key == key || r.group() == key {
				picked = append(picked, r)
			}
		}
		if len(picked) == n {
			return nil, key
		}
	}
	return picked, ""
}

// group is what rows are measured with in turns.
func (r row) group() string {
	g, _, _ := strings.Cut(r.key, "/")
	return g
}

// unit is what the row's figures are of.
func (r row) unit() string {
	switch r.plan.Mode {
	case load.Echo:
		return "ack"
	case load.Connect:
		return "connect"
	case load.Idle:
		return "session"
	}
	return "delivery"
}

func rowNamed(key string) (row, bool) {
	i := slices.IndexFunc(rows, func(r row) bool { return r.key == key })
	if i < 0 {
		return row{}, false
	}
	return rows[i], true
}
