package engineio

import (
	"errors"
	"net/http"
	"strconv"
	"strings"

	"greenroom/coop"
)

// response is what the loop answers to a request that waits on a goroutine of
// net/http: a body with status 200, or an error of the protocol.
type response struct {
	body  []byte
	err   *requestError
	plain bool // not to be compressed
}

// pollRequest is a GET on its way to the session, and waiting there.
type pollRequest struct {
	s     *Socket
	index string        // of JSONP
	reply chan response // buffered: the loop never waits
	guest *guest        // in its place, when the GET was taken at a door
	taken bool          // the answer holds packets // loop
}

// RunOn implements [coop.Job].
func (p *pollRequest) RunOn(*coop.Loop) { p.s.onPoll(p) }

// send is the answer.
func (p *pollRequest) send(a response) {
	if p.guest != nil {
		p.guest.answer(p, a)
		return
	}
	p.reply <- a
}

// answer answers with packets that have no data.
func (p *pollRequest) answer(body string) { p.send(response{body: p.s.pollBody(body)}) }

// openPolling opens a session by its first GET.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request, p params) {
	l := srv.hub.Loops().Least()
	door, atDoor := w.(*doorAnswer)
	if atDoor {
		l = door.loop
	}
	s := srv.newSocket(l, r, p, StatePolling)
	body := s.pollBody(string(PacketOpen) + string(s.openData(srv.opts.upgrades())))
	if f := srv.greeting; f != nil {
		if s.version != 3 { // whose packets carry their lengths
			body = append(body, separator)
		}
		body = append(body, f.Bytes(s.wire(Polling, s.base64))...)
	}
	if !srv.sessions.add(s) {
		srv.sessions.release()
		srv.refuse(w, r, errIDGeneration)
		return
	}
	// Requests of the session post after this, so they find it open.
	if !s.loop.Post(s.start) {
		s.orphaned()
		srv.refuse(w, r, errShuttingDown)
		return
	}
	s.known.Store(true)
	if atDoor {
		door.opened = s
	}
	srv.setCookie(w.Header(), s.sid)
	if srv.writePoll(w, r, response{body: s.script(p.index, body)}) != nil {
		s.later(func() { s.kill(ReasonTransportError) }) // its client does not know it
	}
}

// servePoll waits for something to send to the client.
func (srv *Server) servePoll(w http.ResponseWriter, r *http.Request, s *Socket, query params) {
	if door, ok := w.(*doorAnswer); ok {
		door.guest.wait(r, s)
		return
	}
	p := &pollRequest{s: s, index: query.index, reply: make(chan response, 1)}
	if !s.loop.PostJob(p) {
		s.orphaned()
		srv.refuse(w, r, errUnknownSID)
		return
	}
	select {
	case a := <-p.reply:
		srv.answerGet(w, r, p, a)
	case <-r.Context().Done():
		s.later(func() { s.pollLost(p) })
	case <-srv.closed:
		select {
		case a := <-p.reply: // came first
			srv.answerGet(w, r, p, a)
		default:
			srv.refuse(w, r, errUnknownSID)
		}
	}
}

func (srv *Server) answerGet(w http.ResponseWriter, r *http.Request, p *pollRequest, a response) {
	a.body = p.s.script(p.index, a.body)
	if srv.writeResponse(w, r, a) != nil {
		p.s.later(func() { p.s.pollLost(p) })
	}
}

// writeResponse writes a, within BodyTimeout.
func (srv *Server) writeResponse(w http.ResponseWriter, r *http.Request, a response) error {
	if a.err != nil {
		srv.refuse(w, r, a.err)
		return nil
	}
	return srv.writePoll(w, r, a)
}

// noStore is the value of cache-control, whose name Node.js writes in lower case.
var noStore = []string{"no-store"}

// writePoll writes the body of a poll.
func (srv *Server) writePoll(w http.ResponseWriter, r *http.Request, a response) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	body := a.body
	if isOctets(body) {
		h.Set("Content-Type", octetStream)
	}
	if !a.plain {
		body = srv.opts.HTTPCompression.compressed(h, r, body)
	}
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h["cache-control"] = noStore
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
	srv.sessionHeaders(h, r)
	srv.boundWrite(w)
	_, err := w.Write(body)
	if err == nil {
		err = http.NewResponseController(w).Flush() // now, to hear of a failure
	}
	if errors.Is(err, http.ErrNotSupported) { // a wrapper that hides it; what is lost is seen later
		return nil
	}
	return err
}

// onPoll takes a GET in, on the loop.
func (s *Socket) onPoll(p *pollRequest) {
	switch s.State() {
	case StateWebSocket:
		p.send(response{err: errTransportMismatch})
		return
	case StateClosed:
		p.send(response{err: errUnknownSID})
		return
	case StateClosing:
		s.onLastPoll(p)
		return
	}
	if s.expired() {
		p.send(response{err: errUnknownSID})
		return
	}
	if s.poll != nil {
		s.srv.hub.Count("engineio_poll_overlap")
		p.send(response{err: errPollOverlap})
		s.end(ReasonTransportError, ending{poll: pollClose})
		return
	}
	s.poll = p
	s.answerPoll()
}

// onLastPoll answers a GET of a session that is closing.
func (s *Socket) onLastPoll(p *pollRequest) {
	switch {
	case s.ws != nil:
		p.send(response{err: errTransportMismatch})
	case s.grace:
		p.answer(pollNoop)
		s.gone()
	case s.out.Len() > 0:
		s.answerPackets(p)
	default:
		p.answer(pollLastCall)
		s.gone()
	}
}

// answerPoll answers the waiting GET if there is something to say: packets, or
// that the client should hurry up with its upgrade.
func (s *Socket) answerPoll() {
	switch {
	case s.poll == nil:
	case s.probe != nil && s.probe.waiting:
		// The client has left polling: what there is to say goes to its WebSocket.
		s.poll.answer(pollNoop)
		s.poll = nil
	case s.out.Len() > 0:
		s.answerPackets(s.poll)
		s.poll = nil
	case s.probe != nil && s.probe.probed:
		s.poll.answer(pollNoop)
		s.poll = nil
	}
}

// answerPackets answers a GET with what waits, as much as fits one answer.
func (s *Socket) answerPackets(p *pollRequest) {
	p.taken = true
	plain := !s.out.Compressible()
	p.send(response{body: s.takePackets(), plain: plain})
}

// pollLost ends the session because the connection of a GET has gone, and the
// packets of its answer with it. Only after an upgrade does an answer without
// packets not matter any more.
func (s *Socket) pollLost(p *pollRequest) {
	if s.poll == p {
		s.poll = nil
	}
	if s.State() >= StateClosing || s.State() == StateWebSocket && !p.taken {
		return
	}
	s.srv.hub.Count("engineio_poll_aborted")
	s.end(ReasonTransportError, ending{frame: s.srv.bye, poll: pollClose})
}
