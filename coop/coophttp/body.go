package coophttp

import (
	"io"
	"net/http"
	"strings"
)

// body is a request's body. Reading it tells the peer to go on, if it waits for that.
type body struct {
	w *response
	io.ReadCloser
	over bool
}

func (b *body) Read(p []byte) (int, error) {
	if b.w.over {
		return 0, errOver
	}
	if w := b.w; w.mayAsk {
		w.mayAsk = false
		if !w.sent {
			w.k.out = append(w.k.out, "HTTP/1.1 100 Continue\r\n\r\n"...)
			if !w.k.flush() {
				return 0, w.k.broken
			}
		}
	}
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.over = true
	case err != nil:
		b.w.close = true
	}
	return n, err
}

// Close does nothing: what was not read is seen to at the end.
func (b *body) Close() error { return nil }

// expect looks at what the request announces.
func (w *response) expect(r *http.Request) {
	limit := w.k.s.MaxBodyBytes
	switch expect := r.Header.Get("Expect"); {
	case expect == "":
	case strings.EqualFold(expect, "100-continue"):
		w.mayAsk = r.ProtoAtLeast(1, 1) && r.ContentLength != 0
	default:
		w.refuse(http.StatusExpectationFailed)
		limit = -1
	}
	switch {
	case r.Body == http.NoBody:
	case limit < 0:
		w.in = &body{w: w, ReadCloser: r.Body}
		r.Body = w.in
	default:
		w.in = &body{w: w, ReadCloser: http.MaxBytesReader(nil, r.Body, limit)}
		r.Body = w.in
	}
	if limit >= 0 && r.ContentLength > limit {
		w.refuse(http.StatusRequestEntityTooLarge)
	}
}

func (w *response) refuse(status int) {
	w.refused, w.close = true, true
	http.Error(w, http.StatusText(status), status)
}

// maxDiscarded is how much of a body that nobody read is read to keep the connection, in bytes.
const maxDiscarded = 256 << 10

// seeToBody reads the rest of the request's body. It reports false if that is not worth it.
func (w *response) seeToBody() bool {
	b := w.in
	switch {
	case b == nil:
		return true
	case w.mayAsk:
		w.unread = true // the peer may send the body all the same, or not: nobody knows
		return false
	case b.over:
		return true
	case w.close:
		w.unread = true
		return false
	}
	if _, err := io.CopyN(io.Discard, b.ReadCloser, maxDiscarded); err != io.EOF {
		w.unread = true
		return false
	}
	return true
}
