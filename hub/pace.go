package hub

import "time"

// pace bounds how fast one session's client sends events: a token bucket, kept as the time at which it will be full
// again, so that it costs a session one word. // loop
type pace time.Duration

// refusedShare is what an event beyond the rate costs of one within it. It makes the debt of a client grow that
// sends more than this many times the rate, and lets others recover.
const refusedShare = 10

// allow reports whether an event may come in now, at so many a second after burst at once.
func (p *pace) allow(now time.Duration, rate, burst int) bool {
	each := time.Second / time.Duration(rate)
	if *p < pace(now) {
		*p = pace(now)
	}
	if time.Duration(*p)-now > time.Duration(burst-1)*each {
		*p += pace(each / refusedShare)
		return false
	}
	*p += pace(each)
	return true
}

// debt reports whether refused events alone have cost as much as another burst.
func (p pace) debt(now time.Duration, rate, burst int) bool {
	return time.Duration(p)-now > 2*time.Duration(burst)*(time.Second/time.Duration(rate))
}

// tooFast refuses an event beyond the rate. A client that is not let in yet is not told.
func (s *Session) tooFast(ev *Event) error {
	o := &s.ns.hub.opts
	s.ns.hub.Count("event_rate_limited")
	if s.pace.debt(s.loop.Now(), o.EventRate, o.EventBurst) {
		s.ns.hub.Count("event_rate_disconnected")
		return ErrOverloaded
	}
	if s.accepted {
		ev.Refuse(refusal("rate_limited", "more than %d events a second", o.EventRate))
	}
	return nil
}
