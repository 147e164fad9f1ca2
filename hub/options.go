package hub

import (
	"fmt"
	"log/slog"
	"os"
	"time"

	"greenroom/coop"
)

// Options configure a [Hub]. Zero values mean the defaults given.
type Options struct {
	// Loops is the number of event loops, default one per core.
	Loops int
	// Logger receives what operators should know, default slog.Default().
	Logger *slog.Logger

	// OutboxBytes bounds what waits for one connection that does not read. Default 1 MiB.
	OutboxBytes int
	// SlowConsumer says what happens at that bound. Default [Disconnect].
	SlowConsumer Policy

	// InboxEvents and InboxBytes bound what one session's handler has not taken yet; beyond them the
	// transport stops reading from that client. Defaults 256 events, 256 KiB.
	InboxEvents int
	InboxBytes  int
	// InboxMax is where reading more slowly no longer helps (one poll can bring many events) and the
	// client is disconnected, in bytes including the events' overhead. Default 32 MiB.
	InboxMax int

	// EventRate bounds the events a second of one session, EventBurst those at once before the rate counts: others
	// are refused with the code rate_limited. A client that sends more than ten times as many for long is
	// disconnected. Defaults 10 000, 20 000; a negative EventRate is no bound.
	EventRate  int
	EventBurst int

	// MaxRooms bounds the rooms that a session is in at once, those of its own id and of everybody not counted:
	// [Session.Join] returns [ErrTooManyRooms] beyond it. Default 1000; below 0: no bound.
	MaxRooms int
	// MaxAsks bounds the answers that are waited for from one client; asking for more returns [ErrTooManyAsks].
	// Default 1024.
	MaxAsks int

	// HistoryMessages and HistoryBytes bound the publications kept per room. Defaults 100, 256 KiB;
	// a negative HistoryMessages keeps none.
	HistoryMessages int
	HistoryBytes    int
	// HistoryTTL is how long an empty room is kept for its history. Default 10 minutes.
	HistoryTTL time.Duration
	// MaxEmptyRooms and EmptyRoomBytes bound, per namespace, the rooms kept for their history alone;
	// the longest empty goes first. Defaults 10 000, 64 MiB.
	MaxEmptyRooms  int
	EmptyRoomBytes int

	// MaxRetained and RetainedBytes bound what is retained, in all namespaces together; what was retained the longest
	// ago goes first. Defaults 10 000 publications, 64 MiB.
	MaxRetained   int
	RetainedBytes int
	// RetainedTTL is how long a publication is retained. Default 24 hours; below 0: for ever.
	RetainedTTL time.Duration

	// DedupWindow is how long a publication's own id is remembered. Default 60 s.
	DedupWindow time.Duration
	// DedupMax bounds the ids remembered. Default 100 000.
	DedupMax int

	// Recovery lets clients come back to their sessions after a broken connection. Default nil: they get new
	// ones.
	Recovery *Recovery

	// MaxNamespaces bounds the namespaces that exist because clients asked for them, see [Hub.HandleFamily].
	// Default 10 000.
	MaxNamespaces int
	// KeepNamespaces keeps those whose last session has left.
	KeepNamespaces bool

	// Adapter joins the hub to those of other nodes. Default none. An adapter serves one hub, which closes it.
	Adapter Adapter
	// Node is this node's name among the others, default the host's name and the process' id, "host#123".
	Node string

	// Clock is the time of the loops and of the hub, default the system's. Tests of a handler that
	// sleeps set a [coop.FakeClock], with one loop.
	Clock coop.Clock
}

func (o Options) withDefaults() Options {
	def := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	def(&o.OutboxBytes, 1<<20)
	def(&o.InboxEvents, 256)
	def(&o.InboxBytes, 256<<10)
	def(&o.InboxMax, 32<<20)
	def(&o.EventRate, 10_000)
	def(&o.EventBurst, 20_000)
	def(&o.MaxRooms, 1000)
	def(&o.MaxAsks, 1024)
	def(&o.HistoryMessages, 100)
	def(&o.HistoryBytes, 256<<10)
	def(&o.MaxEmptyRooms, 10_000)
	def(&o.EmptyRoomBytes, 64<<20)
	def(&o.MaxRetained, 10_000)
	def(&o.RetainedBytes, 64<<20)
	def(&o.DedupMax, 100_000)
	def(&o.MaxNamespaces, 10_000)
	if o.HistoryTTL == 0 {
		o.HistoryTTL = 10 * time.Minute
	}
	if o.RetainedTTL == 0 {
		o.RetainedTTL = 24 * time.Hour
	}
	if o.DedupWindow == 0 {
		o.DedupWindow = time.Minute
	}
	if o.Node == "" {
		host, err := os.Hostname()
		if err != nil {
			host = "localhost"
		}
		o.Node = fmt.Sprintf("%s#%d", host, os.Getpid())
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Recovery != nil {
		o.Recovery = o.Recovery.withDefaults()
	}
	return o
}
