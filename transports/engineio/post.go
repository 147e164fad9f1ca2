package engineio

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"greenroom/coop"
)

var errBodyTooLarge = errors.New("engineio: request body too large")

// postRequest is a POST: being uploaded on net/http's goroutine, then processed
// on the loop, where it may have to wait for room in the handler's inbox.
type postRequest struct {
	s     *Socket
	reply chan response // buffered: the loop never waits

	mu      sync.Mutex               // guards rc and aborted
	rc      *http.ResponseController // nil after the upload
	aborted bool

	body   []byte // what is not processed yet
	octets bool   // it is in protocol 3's binary form
	err    error  // why there is no body

	// On the loop:
	processing bool // the body is good, and not used up
	done       bool // answered
}

// RunOn implements [coop.Job].
func (p *postRequest) RunOn(*coop.Loop) { p.s.onPost(p) }

// abort makes the upload fail at once. Any goroutine.
func (p *postRequest) abort() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.aborted = true
	if p.rc != nil {
		_ = p.rc.SetReadDeadline(time.Unix(1, 0)) // without deadlines, BodyTimeout of the server in front applies
	}
}

// servePost takes packets from the client.
func (srv *Server) servePost(w http.ResponseWriter, r *http.Request, s *Socket) {
	octets := strings.HasPrefix(r.Header.Get("Content-Type"), octetStream)
	if octets && s.version == 4 {
		s.later(s.postFailed)
		srv.refuse(w, r, errBinaryBody)
		return
	}
	p := &postRequest{s: s, octets: octets, reply: make(chan response, 1), rc: http.NewResponseController(w)}
	if !s.post.CompareAndSwap(nil, p) {
		s.later(s.postFailed)
		srv.refuse(w, r, errPostOverlap)
		return
	}
	p.upload(r, srv.opts.MaxPayload)
	if p.err != nil && !errors.Is(p.err, errBodyTooLarge) && r.ProtoMajor == 1 {
		w.Header().Set("Connection", "close") // HTTP/2 would end the requests of others, too
	}
	if s.jsonp && p.err == nil {
		p.body, p.octets = jsonpBody(p.body), false
	}
	if !s.loop.PostJob(p) {
		s.orphaned()
		srv.refuse(w, r, errUnknownSID)
		return
	}
	gone := r.Context().Done()
	if p.err != nil {
		gone = nil // a failed upload has ended the context; the answer comes at once
	}
	select {
	case a := <-p.reply:
		srv.answerPost(w, r, a)
	case <-gone:
		// The packets are with the session; only the answer is lost.
	case <-srv.closed:
		select {
		case a := <-p.reply: // came first
			srv.answerPost(w, r, a)
		default:
			srv.refuse(w, r, errUnknownSID)
		}
	}
}

func (srv *Server) answerPost(w http.ResponseWriter, r *http.Request, a response) {
	if a.err != nil {
		srv.refuse(w, r, a.err)
		return
	}
	h := w.Header()
	h.Set("Content-Type", "text/html")
	h.Set("Content-Length", strconv.Itoa(len(a.body)))
	h["cache-control"] = noStore
	srv.sessionHeaders(h, r)
	srv.boundWrite(w)
	_, _ = w.Write(a.body) // the client may be gone
}

// maxDiscard bounds what is read of a body that is too large, in times of MaxPayload.
const maxDiscard = 4

// upload reads the body within the bounds of size and of the read deadline that
// ServeHTTP has set. When it fails the deadline stays, because net/http reads
// the rest of the body before it answers.
func (p *postRequest) upload(r *http.Request, max int) {
	if r.ContentLength > int64(max) {
		p.err = errBodyTooLarge
	} else {
		p.body, p.err = readBody(r.Body, r.ContentLength, max)
	}
	if errors.Is(p.err, errBodyTooLarge) && r.ContentLength <= maxDiscard*int64(max) && r.Header.Get("Expect") == "" {
		// Who is cut off in the middle of sending sees a broken connection, and not the answer. net/http
		// discards 256 KB by itself.
		_, _ = io.CopyN(io.Discard, r.Body, maxDiscard*int64(max))
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil && !p.aborted {
		_ = p.rc.SetReadDeadline(time.Time{}) // the answer may take its time
	}
	p.rc = nil
}

// readBody reads at most max bytes. The buffer grows with what has arrived, not
// with what the client has announced.
func readBody(body io.Reader, announced int64, max int) ([]byte, error) {
	const start = 4 << 10
	size := announced
	if size < 0 || size > start {
		size = start
	}
	buf := make([]byte, 0, size+1)
	for {
		n, err := body.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) > max {
			return nil, errBodyTooLarge
		}
		if errors.Is(err, io.EOF) {
			return buf, nil
		}
		if err != nil {
			return nil, err
		}
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
	}
}

// onPost takes an uploaded POST in, on the loop.
func (s *Socket) onPost(p *postRequest) {
	switch {
	case errors.Is(p.err, errBodyTooLarge):
		s.srv.hub.Count("engineio_body_too_large")
		s.postDone(p, response{err: errBodySize})
	case s.State() == StateWebSocket:
		s.postDone(p, response{err: errTransportMismatch})
	case s.State() >= StateClosing && p.err != nil:
		s.postDone(p, response{err: errBodyCut})
	case s.State() >= StateClosing:
		s.postDone(p, response{err: errUnknownSID})
	case p.err != nil:
		s.srv.hub.Count("engineio_post_aborted")
		s.postFailed()
		s.postDone(p, response{err: errBodyCut})
	case s.expired():
		s.postDone(p, response{err: errUnknownSID})
	case !p.octets && !utf8.Valid(p.body):
		// What goes on to WebSocket clients in text frames must be UTF-8.
		s.badPacket()
		s.postDone(p, response{err: errBadBody})
	default:
		p.processing = true
		s.processPost(p)
	}
}

// processPost processes packets until the body is used up, the handler wants a
// pause, or the session ends.
func (s *Socket) processPost(p *postRequest) {
	for !s.paused {
		packet, more, err := p.next()
		if err != nil {
			p.processing = false // the answer is 400 and not what end would give
			s.badPacket()
			s.postDone(p, response{err: errBadBody})
			return
		}
		if packet.Type != 0 {
			s.packet(packet)
		}
		if !more || !s.Open() {
			s.postDone(p, response{body: []byte("ok")})
			return
		}
	}
}

// postDone answers a POST, once, and lets an upgrade that waited for it go on.
func (s *Socket) postDone(p *postRequest, a response) {
	if p.done {
		return
	}
	p.done, p.body = true, nil
	s.post.Store(nil)
	p.reply <- a
	if s.probe != nil && s.probe.waiting && s.State() < StateClosing { // else see lastUpgrade
		s.upgrade()
	}
}

// postFailed ends the session over a POST that broke the rules.
func (s *Socket) postFailed() {
	if s.State() < StateWebSocket {
		s.end(ReasonTransportError, ending{poll: pollClose})
	}
}
