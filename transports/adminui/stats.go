package adminui

import (
	"cmp"
	"maps"
	"slices"
	"time"

	"greenroom/hub"
)

// kind is what is counted.
type kind uint8

const (
	connections kind = iota
	packetsIn
	bytesIn
	packetsOut
	bytesOut
	kinds
)

// kindNames are those of the pages.
var kindNames = [kinds]string{"rawConnection", "packetsIn", "bytesIn", "packetsOut", "bytesOut"}

// row is what was counted in one second.
type row struct {
	second int64
	counts [kinds]int
	ends   map[string]int // connections ended, by reason
}

const (
	maxRows    = 60   // more wait only when reports are late
	maxReasons = 64   // reasons may be an application's texts
	maxListed  = 1000 // namespaces in a report
)

// row is that of this second. The lock is held.
func (b *book) row() *row {
	now := time.Now().Unix()
	if n := len(b.rows); n > 0 && b.rows[n-1].second == now {
		return &b.rows[n-1]
	}
	if len(b.rows) == maxRows {
		b.rows = slices.Delete(b.rows, 0, 1)
	}
	b.rows = append(b.rows, row{second: now})
	return &b.rows[len(b.rows)-1]
}

// opened counts a new connection.
func (b *book) opened() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.row().counts[connections]++
}

// carried counts a message of n bytes.
func (b *book) carried(packets, bytes kind, n int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.row()
	r.counts[packets]++
	r.counts[bytes] += n
}

// closed counts the end of a connection.
func (b *book) closed(reason string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	r := b.row()
	if r.ends == nil {
		r.ends = make(map[string]int)
	}
	if _, known := r.ends[reason]; !known && len(r.ends) >= maxReasons {
		reason = "other"
	}
	r.ends[reason]++
}

// take empties the book.
func (b *book) take() []row {
	b.mu.Lock()
	defer b.mu.Unlock()
	rows := b.rows
	b.rows = nil
	return rows
}

// serverStats is the report of one node.
type serverStats struct {
	ServerID       string          `json:"serverId"`
	Hostname       string          `json:"hostname"`
	PID            int             `json:"pid"`
	Uptime         float64         `json:"uptime"` // in seconds
	Clients        int             `json:"clientsCount"`
	PollingClients int             `json:"pollingClientsCount"`
	Events         []aggregated    `json:"aggregatedEvents"`
	Namespaces     []namespaceSize `json:"namespaces"`
}

// aggregated is how often something has happened in one second.
type aggregated struct {
	Timestamp int64  `json:"timestamp"` // in ms
	Type      string `json:"type"`
	SubType   string `json:"subType,omitempty"`
	Count     int    `json:"count"`
}

type namespaceSize struct {
	Name    string `json:"name"`
	Sockets int    `json:"socketsCount"`
}

// report tells the numbers, on the first loop.
func (a *Admin) report() {
	if a.closed.Load() {
		return
	}
	a.timer.Reset(a.opts.Interval)
	var rows []row // taken in any case: they are those of one interval
	for i := range a.books {
		rows = append(rows, a.books[i].take()...)
	}
	if !a.heard() {
		return
	}
	st := serverStats{
		ServerID: a.opts.ServerID, Hostname: a.hostname, PID: a.pid, Uptime: time.Since(a.started).Seconds(),
		Events: aggregate(rows), Namespaces: sizes(a.hub.Namespaces()),
	}
	for _, e := range a.opts.Engines {
		st.Clients += e.Sessions()
		st.PollingClients += e.Polling()
	}
	a.tell("server_stats", st)
}

// aggregate sums up the rows of all loops, the earlier seconds first.
func aggregate(rows []row) []aggregated {
	seconds := make(map[int64]*row)
	for i := range rows {
		sum := seconds[rows[i].second]
		if sum == nil {
			sum = &row{ends: make(map[string]int)}
			seconds[rows[i].second] = sum
		}
		for k, n := range rows[i].counts {
			sum.counts[k] += n
		}
		for reason, n := range rows[i].ends {
			sum.ends[reason] += n
		}
	}
	out := []aggregated{} // [] in JSON
	for _, second := range slices.Sorted(maps.Keys(seconds)) {
		sum := seconds[second]
		for k, n := range sum.counts {
			if n > 0 {
				out = append(out, aggregated{Timestamp: second * 1000, Type: kindNames[k], Count: n})
			}
		}
		for _, reason := range slices.Sorted(maps.Keys(sum.ends)) {
			out = append(out, aggregated{Timestamp: second * 1000, Type: "rawDisconnection", SubType: reason, Count: sum.ends[reason]})
		}
	}
	return out
}

// sizes lists the namespaces by name, the greatest if there are too many.
func sizes(list []*hub.Namespace) []namespaceSize {
	out := make([]namespaceSize, 0, len(list))
	for _, ns := range list {
		out = append(out, namespaceSize{ns.Name(), ns.SessionCount()})
	}
	if len(out) > maxListed {
		slices.SortStableFunc(out, func(x, y namespaceSize) int { return cmp.Compare(y.Sockets, x.Sockets) })
		out = out[:maxListed]
	}
	return out
}
