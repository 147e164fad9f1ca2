package guard

import "time"

// Limits bound what one peer may send and what may wait for it. Zero values mean the defaults given.
type Limits struct {
	FrameBytes   int // largest frame body, default 1 MiB
	MessageBytes int // largest sum of a message's frame bodies, default 2 MiB
	Frames       int // most frames in one message, default 64
	PingsPerSec  int // most PINGs answered in one second; more end the connection, default 1000

	WriteTimeout  time.Duration // longest single write of a batch, default 10 s
	QueueBytes    int           // most bytes waiting to be written, default 4 MiB
	QueueMessages int           // most messages waiting to be written, default 50 000

	// MaxLag is how old the oldest message waiting to be written may become. 0: no bound. Then the connection
	// ends, or, with Stale, WriteTimeout is none, and what waits behind a write that took so long is dropped:
	// Stale is told how many messages that were, on the flusher's goroutine.
	MaxLag time.Duration
	Stale  func(c *Conn, messages int)
}

const (
	greetingBytes   = 64
	maxCommandBytes = 4096 // READY with its properties; every other command is far shorter
	maxTopicBytes   = 255  // of a SUBSCRIBE or CANCEL
	maxIdentity     = 255  // RFC 37
	maxPingContext  = 16   // RFC 37

	// maxCommandsInside is the most commands between the frames of one message. Taking one out costs a
	// copy of the frames before it; libzmq sends a handful at worst.
	maxCommandsInside = 256

	minBuffer  = 4 << 10  // an idle peer's read buffer
	readBuffer = 64 << 10 // what a busy peer's grows to; larger only while a larger message arrives
	keepBuffer = 256 << 10
)

// WithDefaults returns l with its zero values replaced.
func (l Limits) WithDefaults() Limits {
	def := func(v *int, d int) {
		if *v <= 0 {
			*v = d
		}
	}
	def(&l.FrameBytes, 1<<20)
	def(&l.MessageBytes, 2<<20)
	def(&l.Frames, 64)
	def(&l.PingsPerSec, 1000)
	def(&l.QueueBytes, 4<<20)
	def(&l.QueueMessages, 50_000)
	if l.WriteTimeout <= 0 {
		l.WriteTimeout = 10 * time.Second
	}
	return l
}
