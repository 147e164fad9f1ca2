package engineio

import (
	"net/http"
	"strconv"
	"strings"
	"time"

	"greenroom/coop"
)

// response is what the loop answers to a request that waits on a goroutine of
// net/http: a body with status 200, a bare status, or an error of the protocol.
type response struct {
	body   []byte
	status int
	err    *requestError
}

// pollRequest is a GET on its way to the session, and waiting there.
type pollRequest struct {
	s     *Socket
	reply chan response // buffered: the loop never waits
}

// RunOn implements [coop.Job].
func (p *pollRequest) RunOn(*coop.Loop) { p.s.onPoll(p) }

func (p *pollRequest) answer(body string) { p.reply <- response{body: []byte(body)} }

// openPolling opens a session by its first GET.
func (srv *Server) openPolling(w http.ResponseWriter, r *http.Request) {
	s := srv.newSocket(r, StatePolling)
	body := append([]byte{byte(PacketOpen)}, s.openData(srv.opts.upgrades())...)
	srv.sessions.add(s)
	// Requests of the session post after this, so they find it open.
	if !s.loop.Post(s.start) {
		s.orphaned()
		srv.refuse(w, r, errShuttingDown)
		return
	}
	srv.writePoll(w, r, body)
}

// servePoll waits for something to send to the client.
func (srv *Server) servePoll(w http.ResponseWriter, r *http.Request, s *Socket) {
	p := &pollRequest{s: s, reply: make(chan response, 1)}
	if !s.loop.PostJob(p) {
		s.orphaned()
		srv.refuse(w, r, errUnknownSID)
		return
	}
	select {
	case a := <-p.reply:
		if srv.writeResponse(w, r, a) != nil {
			s.later(s.pollLost) // what was in the response is lost
		}
	case <-r.Context().Done():
		s.later(s.pollLost)
	case <-srv.closed:
		srv.refuse(w, r, errUnknownSID)
	}
}

// writeResponse writes a, within BodyTimeout.
func (srv *Server) writeResponse(w http.ResponseWriter, r *http.Request, a response) error {
	switch {
	case a.err != nil:
		srv.refuse(w, r, a.err)
		return nil
	case a.status != 0:
		refuseEmpty(w, a.status)
		return nil
	}
	return srv.writePoll(w, r, a.body)
}

// writePoll writes the body of a poll.
func (srv *Server) writePoll(w http.ResponseWriter, r *http.Request, body []byte) error {
	h := w.Header()
	h.Set("Content-Type", "text/plain; charset=UTF-8")
	h.Set("Content-Length", strconv.Itoa(len(body)))
	h["cache-control"] = []string{"no-store"}
	if ua := r.UserAgent(); strings.Contains(ua, ";MSIE") || strings.Contains(ua, "Trident/") {
		h.Set("X-XSS-Protection", "0")
	}
	rc := http.NewResponseController(w)
	// Not every ResponseWriter has deadlines; the bound is the server's then.
	_ = rc.SetWriteDeadline(time.Now().Add(srv.opts.BodyTimeout))
	_, err := w.Write(body)
	if err == nil {
		err = rc.Flush()
	}
	_ = rc.SetWriteDeadline(time.Time{})
	return err
}

// onPoll takes a GET in, on the loop.
func (s *Socket) onPoll(p *pollRequest) {
	switch s.State() {
	case StateWebSocket:
		p.reply <- response{err: errBadRequest}
		return
	case StateClosed:
		p.reply <- response{err: errUnknownSID}
		return
	case StateClosing:
		s.onLastPoll(p)
		return
	}
	if s.expired() {
		p.reply <- response{err: errUnknownSID}
		return
	}
	if s.poll != nil {
		s.srv.hub.Count("engineio_poll_overlap")
		p.reply <- response{status: http.StatusBadRequest}
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
		p.reply <- response{err: errBadRequest}
	case s.grace:
		p.answer(pollNoop)
		s.gone()
	case s.out.Len() > 0:
		p.reply <- response{body: s.take()}
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
	case s.out.Len() > 0:
		s.poll.reply <- response{body: s.take()}
		s.poll = nil
	case s.probe != nil && s.probe.probed:
		s.poll.answer(pollNoop)
		s.poll = nil
	}
}

func (s *Socket) take() []byte { return s.out.Take(separator, s.srv.opts.MaxPayload) }

// pollLost ends the session because the connection of a GET has gone.
func (s *Socket) pollLost() {
	if s.State() >= StateWebSocket {
		return
	}
	s.srv.hub.Count("engineio_poll_aborted")
	s.poll = nil
	s.end(ReasonTransportError, ending{})
}
