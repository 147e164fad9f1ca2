package coophttp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

// A response is the http.ResponseWriter. Its head and body gather in the connection's buffers, so that
// a short answer leaves in one write with its Content-Length; a longer or flushed one goes in chunks.
type response struct {
	k       *conn
	r       *http.Request
	in      *body // of the request, nil if it has none
	header  http.Header
	status  int   // 0 until WriteHeader
	length  int64 // declared, -1 if it was not
	written int64 // by the handler
	trailer []string

	close   bool // no request after this one
	chunked bool
	sent    bool // the head is complete
	noBody  bool // by method or status
	mayAsk  bool // the peer waits for 100 Continue
	refused bool
	aborted bool
	cut     bool // the response is not complete
	unread  bool // the peer may still be sending
	over    bool // the handler has returned
}

// errOver is for those who go on after the handler has returned: the connection may be at another request.
var errOver = errors.New("coophttp: used after the handler has returned")

var (
	_ http.Flusher  = (*response)(nil)
	_ http.Hijacker = (*response)(nil)
)

// maxGathered is how much of a body waits for its end, in bytes.
const maxGathered = 4 << 10

func (k *conn) response(r *http.Request) *response {
	k.head, k.body = k.head[:0], k.body[:0]
	return &response{k: k, r: r, header: make(http.Header), length: -1}
}

func (w *response) Header() http.Header { return w.header }

// WriteHeader fixes the head as it is now, but for what describes the body. 1xx are sent at once.
func (w *response) WriteHeader(status int) {
	switch {
	case w.k.hijacked || w.over || w.status != 0:
		return
	case status < 100 || status > 999:
		panic("coophttp: invalid status " + strconv.Itoa(status))
	case status < 200 && status != http.StatusSwitchingProtocols:
		w.k.out = appendStatus(w.k.out, w.r, status)
		w.k.out = append(appendHeader(w.k.out, w.header, nil), "\r\n"...)
		w.k.flush()
		return
	}
	w.status = status
	w.noBody = w.r.Method == http.MethodHead || !bodyAllowed(status)
	w.length = declaredLength(w.header)
	if strings.EqualFold(w.header.Get("Connection"), "close") {
		w.close = true
	}
	w.declareTrailers()
	w.k.head = appendStatus(w.k.head, w.r, status)
	w.k.head = appendHeader(w.k.head, w.header, w.trailer)
	if _, set := w.header["Date"]; !set {
		w.k.head = w.k.s.date.append(w.k.head, w.k.now())
	}
}

// declaredLength is the Content-Length that a handler has set, or -1.
func declaredLength(h http.Header) int64 {
	n, err := strconv.ParseInt(h.Get("Content-Length"), 10, 64)
	if err != nil || n < 0 {
		return -1
	}
	return n
}

func bodyAllowed(status int) bool {
	return status >= 200 && status != http.StatusNoContent && status != http.StatusNotModified
}

func (w *response) declareTrailers() {
	for _, line := range w.header["Trailer"] {
		for name := range strings.SplitSeq(line, ",") {
			w.trailer = append(w.trailer, http.CanonicalHeaderKey(strings.TrimSpace(name)))
		}
	}
}

func (w *response) Write(p []byte) (int, error) { return write(w, p) }

// WriteString spares io.WriteString a copy.
func (w *response) WriteString(s string) (int, error) { return write(w, s) }

func write[T []byte | string](w *response, p T) (int, error) {
	k := w.k
	switch {
	case w.over:
		return 0, errOver
	case k.hijacked:
		return 0, http.ErrHijacked
	case w.status == 0:
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case k.broken != nil:
		return 0, k.broken
	case !bodyAllowed(w.status):
		return 0, http.ErrBodyNotAllowed
	case w.length >= 0 && w.written+int64(len(p)) > w.length:
		return 0, http.ErrContentLength
	}
	w.written += int64(len(p))
	if w.noBody {
		return len(p), nil
	}
	if len(w.k.body)+len(p) <= maxGathered {
		w.k.body = append(w.k.body, p...)
		return len(p), nil
	}
	w.sendHead(false)
	w.sendBody()
	if len(p) <= maxGathered {
		w.k.body = append(w.k.body, p...)
	} else {
		w.piece([]byte(p))
	}
	if k.broken != nil {
		return 0, k.broken
	}
	return len(p), nil
}

// sendHead completes the head in the buffer. final says that the body is all there.
func (w *response) sendHead(final bool) {
	if w.sent {
		return
	}
	w.sent = true
	k, r := w.k, w.r
	out := append(k.out, k.head...)
	if _, set := w.header["Content-Type"]; !set && len(w.k.body) > 0 && w.header.Get("Content-Encoding") == "" {
		out = append(out, "Content-Type: "...)
		out = append(out, http.DetectContentType(w.k.body)...)
		out = append(out, "\r\n"...)
	}
	switch {
	case !bodyAllowed(w.status):
	case final && w.length < 0 && len(w.trailer) == 0 && !w.lateTrailers():
		if r.Method != http.MethodHead || w.written > 0 {
			w.length = w.written
		}
	case w.length < 0 && r.ProtoAtLeast(1, 1):
		w.chunked = true
	case w.length < 0:
		w.close = true // HTTP/1.0 knows no chunks: the end of the connection is the end
	}
	if w.length >= 0 && bodyAllowed(w.status) {
		out = append(out, "Content-Length: "...)
		out = strconv.AppendInt(out, w.length, 10)
		out = append(out, "\r\n"...)
	}
	if w.chunked {
		out = append(out, "Transfer-Encoding: chunked\r\n"...)
	}
	w.close = w.close || w.mayAsk || k.s.stopped
	switch {
	case w.status == http.StatusSwitchingProtocols:
		out = append(out, "Connection: "...)
		out = append(out, w.header.Get("Connection")...)
		out = append(out, "\r\n"...)
	case w.close:
		out = append(out, "Connection: close\r\n"...)
	case !r.ProtoAtLeast(1, 1):
		out = append(out, "Connection: keep-alive\r\n"...)
	}
	k.out = append(out, "\r\n"...)
	if w.noBody {
		w.chunked = false
	}
}

// sendBody moves what was gathered to the buffer.
func (w *response) sendBody() {
	if len(w.k.body) > 0 {
		w.piece(w.k.body)
		w.k.body = w.k.body[:0]
	}
}

// piece sends a piece of the body, as a chunk if need be.
func (w *response) piece(p []byte) {
	k := w.k
	if w.chunked {
		k.out = strconv.AppendInt(k.out, int64(len(p)), 16)
		k.out = append(k.out, "\r\n"...)
	}
	if len(p) <= maxGathered {
		k.out = append(k.out, p...)
	} else {
		k.write(p)
	}
	if w.chunked {
		k.out = append(k.out, "\r\n"...)
	}
}

// Flush sends what was written so far.
func (w *response) Flush() { w.FlushError() }

// FlushError is Flush for [http.ResponseController].
func (w *response) FlushError() error {
	switch {
	case w.over:
		return errOver
	case w.k.hijacked:
		return http.ErrHijacked
	case w.status == 0:
		w.WriteHeader(http.StatusOK)
	}
	w.sendHead(false)
	w.sendBody()
	w.k.flush()
	return w.k.broken
}

// SetReadDeadline is for [http.ResponseController]. It bounds reading the body of this request, within
// [Server].StallTimeout, which also goes on without.
func (w *response) SetReadDeadline(t time.Time) error {
	if w.over {
		return errOver
	}
	w.k.readBy = t
	return w.k.c.SetReadDeadline(earlier(w.k.now().Add(w.k.s.StallTimeout), t))
}

// SetWriteDeadline is for [http.ResponseController]. It bounds writing this response, as SetReadDeadline does.
func (w *response) SetWriteDeadline(t time.Time) error {
	if w.over {
		return errOver
	}
	w.k.writeBy = t
	return w.k.c.SetWriteDeadline(earlier(w.k.now().Add(w.k.s.StallTimeout), t))
}

// EnableFullDuplex is for [http.ResponseController]: it always is.
func (w *response) EnableFullDuplex() error { return nil }

// CloseNotify is for frameworks that have not let go of it: gin's Stream panics without. Nobody reads from the
// connection meanwhile, so the client is known to be gone when something cannot be written. It is that which is told.
func (w *response) CloseNotify() <-chan bool { return w.k.closeNotify() }

// Hijack hands the connection over, with what was read ahead. It stays a [coop.Conn] or [coop.TLSConn] of this loop.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	k := w.k
	switch {
	case w.over:
		return nil, nil, errOver
	case k.hijacked:
		return nil, nil, http.ErrHijacked
	case w.sent || w.status != 0:
		return nil, nil, errors.New("coophttp: Hijack after the response has begun")
	case !k.flush():
		return nil, nil, k.broken
	}
	k.hijacked = true
	k.c.SetDeadline(time.Time{})
	r := bufio.NewReader(k.c)
	if n := k.r.Buffered(); n > 0 {
		ahead, _ := k.r.Peek(n)
		r = bufio.NewReader(io.MultiReader(strings.NewReader(string(ahead)), k.c))
		r.Peek(n)
	}
	k.dropReader()
	return k.c, bufio.NewReadWriter(r, bufio.NewWriter(k.c)), nil
}

// lateTrailers reports whether the handler has set trailers that it did not declare.
func (w *response) lateTrailers() bool {
	for name := range w.header {
		if strings.HasPrefix(name, http.TrailerPrefix) {
			return true
		}
	}
	return false
}

// finish completes the response. It reports whether the connection can be used on.
func (w *response) finish(ok bool) bool {
	defer func() { w.over = true }()
	if !ok && !w.fail() {
		w.cut = true
		return false
	}
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	w.sendHead(true)
	w.sendBody()
	if w.chunked {
		w.k.out = append(w.k.out, "0\r\n"...)
		w.k.out = append(w.appendTrailers(w.k.out), "\r\n"...)
	}
	if !w.noBody && w.length >= 0 && w.written < w.length {
		w.k.flush()
		w.cut = true // the peer waits for more
		return false
	}
	if w.k.broken != nil {
		w.cut = true
		return false
	}
	return w.seeToBody() && !w.close
}

// fail makes a 500 of a panic, if nothing was sent.
func (w *response) fail() bool {
	if w.aborted || w.sent || w.k.broken != nil {
		return false
	}
	mayAsk, in := w.mayAsk, w.in
	*w = *w.k.response(w.r)
	w.close, w.mayAsk, w.in = true, mayAsk, in
	http.Error(w, http.StatusText(http.StatusInternalServerError), http.StatusInternalServerError)
	return true
}

func (w *response) appendTrailers(out []byte) []byte {
	for _, name := range w.trailer {
		for _, v := range w.header[name] {
			out = appendLine(out, name, v)
		}
	}
	for name, values := range w.header {
		if after, ok := strings.CutPrefix(name, http.TrailerPrefix); ok {
			for _, v := range values {
				out = appendLine(out, after, v)
			}
		}
	}
	return out
}
