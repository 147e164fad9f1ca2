package hub

import (
	"encoding/json"
	"hash/maphash"
	"net"
	"net/http"
	"net/url"
	"slices"
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
	var space [512]byte
	b := appendHeader(space[:0], "Host", r.Host)
	var names [16]string
	for _, name := range sortedNames(names[:0], r.Header) { // in one order, so that equal ones are found equal
		switch name {
		case "Connection", "Upgrade", "Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Extensions",
			"Accept-Encoding", "Cache-Control", "Pragma":
			continue
		}
		for _, v := range r.Header[name] {
			b = appendHeader(b, name, v)
		}
	}
	return &Request{
		RemoteAddr: r.RemoteAddr,
		LocalAddr:  localAddr(r),
		URL:        common.text(r.RequestURI),
		Issued:     time.Now(),
		Secure:     r.TLS != nil,
		XDomain:    r.Header.Get("Origin") != "",
		headers:    common.text(string(b)),
	}
}

func appendHeader(b []byte, name, value string) []byte {
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), '\n')
}

func sortedNames(names []string, h http.Header) []string {
	for name := range h {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

func localAddr(r *http.Request) string {
	a, ok := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
	if !ok {
		return ""
	}
	return common.text(a.String())
}

// common has what requests have lately said.
var common = texts{seed: maphash.MakeSeed()}

// texts lets requests share equal texts: thousands come from the same page in the same browser. It remembers the
// last text for each of 256 hashes, 256 KB at most. Any goroutine.
type texts struct {
	seed  maphash.Seed
	slots [256]atomic.Pointer[string]
}

// maxCommon is the longest text worth remembering. Long ones hold somebody's cookies.
const maxCommon = 1 << 10

// text is a copy of s, perhaps one that others have as well. It never holds on to what s was part of.
func (t *texts) text(s string) string {
	if len(s) > maxCommon {
		return strings.Clone(s)
	}
	slot := &t.slots[maphash.String(t.seed, s)%uint64(len(t.slots))]
	if last := slot.Load(); last != nil && *last == s {
		return *last
	}
	s = strings.Clone(s)
	slot.Store(&s)
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

// WithHeader returns the request with other headers: for transports that are told of a request, and did not see it.
func (r Request) WithHeader(h http.Header) *Request {
	var b []byte
	for _, name := range sortedNames(nil, h) {
		for _, v := range h[name] {
			b = appendHeader(b, lineBreaks.Replace(name), lineBreaks.Replace(v))
		}
	}
	r.headers = string(b)
	return &r
}

// lineBreaks are what no header of HTTP can hold.
var lineBreaks = strings.NewReplacer("\r", " ", "\n", " ")

// Query returns the parameters of the URL; a new map each time. What is malformed is left out.
func (r *Request) Query() url.Values {
	_, query, _ := strings.Cut(r.URL, "?")
	values, _ := url.ParseQuery(query) // it returns what it could read
	return values
}
