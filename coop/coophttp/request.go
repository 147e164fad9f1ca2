package coophttp

import (
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"greenroom/coop"
)

func (k *conn) readRequest(start time.Time) (*http.Request, error) {
	k.reading, k.left = true, int64(k.s.MaxHeaderBytes)
	defer func() { k.reading = false }()
	k.c.SetReadDeadline(start.Add(k.s.HeaderTimeout))
	k.skipBlank()
	r, err := http.ReadRequest(k.r)
	if err != nil {
		return nil, err
	}
	return r, check(r)
}

// skipBlank skips empty lines before a request: RFC 9112, section 2.2.
func (k *conn) skipBlank() {
	for range 4 {
		if b, err := k.r.Peek(1); err != nil || b[0] != '\r' && b[0] != '\n' {
			return
		}
		k.r.Discard(1)
	}
}

// A refusal is a request that gets no further, and the answer.
type refusal struct {
	status int
	why    string
}

func (e *refusal) Error() string { return e.why }

// check is for what net/http's server checks after http.ReadRequest.
func check(r *http.Request) error {
	switch {
	case r.ProtoMajor != 1:
		return &refusal{http.StatusHTTPVersionNotSupported, "unsupported protocol version"}
	case r.Host == "" && r.ProtoAtLeast(1, 1) && r.Method != http.MethodConnect:
		return &refusal{http.StatusBadRequest, "missing required Host header"}
	case strings.ContainsAny(r.Host, " \t/\\@,\"<>"):
		return &refusal{http.StatusBadRequest, "malformed Host header"}
	}
	for name := range r.Header { // values are checked by ReadRequest
		if !isToken(name) {
			return &refusal{http.StatusBadRequest, "invalid header name"}
		}
	}
	return nil
}

// refuse answers what could not be read as a request, unless the peer has just gone.
func (k *conn) refuse(err error) {
	if k.failed != nil {
		err = k.failed
	}
	status, why := http.StatusBadRequest, ""
	var no *refusal
	var ne net.Error
	switch {
	case errors.As(err, &no):
		status, why = no.status, no.why
	case errors.Is(err, errHeadTooLong):
		status = http.StatusRequestHeaderFieldsTooLarge
	case errors.As(err, &ne) && ne.Timeout():
		status = http.StatusRequestTimeout
	case errors.As(err, &ne), errors.Is(err, coop.ErrKilled):
		return
	case errors.Is(err, io.EOF):
		return
	}
	k.out = appendRefusal(k.out, status, why)
	k.part(true)
}

// part ends the connection behind what was written. If the peer is still sending, closing at once would
// reset the connection, and the answer with it.
func (k *conn) part(unread bool) {
	if !k.flush() || !unread {
		return
	}
	h, ok := k.c.(interface{ CloseWrite() error })
	if !ok || h.CloseWrite() != nil {
		return
	}
	k.c.SetReadDeadline(k.now().Add(partingTime))
	io.CopyN(io.Discard, k.c, partingBytes)
}

const (
	partingTime  = 500 * time.Millisecond
	partingBytes = 1 << 20
)
