package guard

import (
	"encoding/binary"
	"time"
)

// Heartbeat sends the peer a PING at once and then every interval, and ends the connection when nothing at all has come
// for timeout although PINGs were sent: a network that is gone without a word, or a process that is stopped, is noticed
// by nothing else. A peer that has never answered a PING does not know them and is left alone. The PING tells the peer
// for how long to expect nothing else, so that it notices as well. The goroutine ends with the connection; [Conn.Wait]
// awaits it.
func (c *Conn) Heartbeat(interval, timeout time.Duration) {
	ttl := min(max((interval+timeout)/(time.Second/10), 1), 0xFFFF)
	ping := binary.BigEndian.AppendUint16([]byte{flagCommand, 7, 4, 'P', 'I', 'N', 'G'}, uint16(ttl))
	c.beats.Go(func() {
		ticker := time.NewTicker(min(interval, timeout))
		defer ticker.Stop()
		var seen int64
		at := time.Now() // when something was last noticed
		for {
			// An owner that does not read, because it has no room for more, hears nothing.
			if n := c.reads.Load(); n != seen || !c.asking.Load() {
				seen, at = n, time.Now()
			} else if c.ponged.Load() && time.Since(at) >= timeout {
				c.fail(violation(ReasonHeartbeat, "nothing came for %v, not even an answer to a PING", timeout))
				return
			}
			if !c.out.urgent(ping) {
				c.fail(violation(ReasonUnansweredOut, "PINGs wait behind %d bytes that the peer does not read", c.out.limits.QueueBytes))
				return
			}
			select {
			case <-ticker.C:
			case <-c.out.ended:
				return
			}
		}
	})
}

// Answers reports whether the peer has answered a PING.
func (c *Conn) Answers() bool { return c.ponged.Load() }
