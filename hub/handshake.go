package hub

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"
)

// Handshake is what a client said when it connected to a namespace, and the request that its
// connection began with. Read-only.
type Handshake struct {
	*Request
	Auth json.RawMessage // the CONNECT packet's object, `{}` when there was none
}

// Request is the HTTP request that opened a connection; all its namespaces share it. Headers and
// query stay text until they are asked for: most sessions never ask, and maps of them would be half
// of what an idle session holds. Read-only, any goroutine.
type Request struct {
	RemoteAddr string
	LocalAddr  string // where it came in; "" if the HTTP server did not say
	URL        string // as in the request line: path and query
	Issued     time.Time
	Secure     bool // came over TLS
	XDomain    bool // had an Origin header

	headers string // "Name: value\n"…
}

// NewRequest keeps what an application may ask of r. Headers of the connection itself are left out.
func NewRequest(r *http.Request) *Request {
	var b strings.Builder
	add := func(name, value string) {
		b.WriteString(name)
		b.WriteString(": ")
		b.WriteString(value)
		b.WriteByte('\n')
	}
	add("Host", r.Host)
	for name, values := range r.Header {
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions",
			"Accept-Encoding", "Cache-Control", "Pragma":
			continue
		}
		for _, v := range values {
			add(name, v)
		}
	}
	return &Request{
		RemoteAddr: r.RemoteAddr,
		LocalAddr:  localAddr(r),
		URL:        strings.Clone(r.RequestURI), // else all of the request's text stays
		Issued:     time.Now(),
		Secure:     r.TLS != nil,
		XDomain:    r.Header.Get("Origin") != "",
		headers:    strings.Clone(b.String()),
	}
}

// lastLocal is the address that the last request came in at. Most come in at the same one, and share its text.
var lastLocal atomic.Pointer[string]

func localAddr(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	s := a.String()
	if last := lastLocal.Load(); last != nil && *last == s {
		return *last
	}
	lastLocal.Store(&s)
	return s
}

// Header returns the request's headers, with Host among them; a new map each time.
func (r *Request) Header() http.Header {
	h := make(http.Header)
	for line := range strings.Lines(r.headers) {
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		h[name] = append(h[name], value)
	}
	return h
}

// Query returns the parameters of the URL; a new map each time. What is malformed is left out.
func (r *Request) Query() url.Values {
	_, query, _ := strings.Cut(r.URL, "?")
	values, _ := url.ParseQuery(query) // it returns what it could read
	return values
}
