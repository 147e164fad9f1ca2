package hub

import (
	"log/slog"
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

	// DedupWindow is how long a publication's own id is remembered. Default 60 s.
	DedupWindow time.Duration
	// DedupMax bounds the ids remembered. Default 100 000.
	DedupMax int

	// Recovery lets clients come back to their sessions after a broken connection. Default nil: they get new
	// ones.
	Recovery *Recovery

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
	def(&o.HistoryMessages, 100)
	def(&o.HistoryBytes, 256<<10)
	def(&o.MaxEmptyRooms, 10_000)
	def(&o.EmptyRoomBytes, 64<<20)
	def(&o.DedupMax, 100_000)
	if o.HistoryTTL == 0 {
		o.HistoryTTL = 10 * time.Minute
	}
	if o.DedupWindow == 0 {
		o.DedupWindow = time.Minute
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.Recovery != nil {
		o.Recovery = o.Recovery.withDefaults()
	}
	return o
}
