package engineio

import (
	"bytes"
	"net/http"
	"net/textproto"
	"net/url"
	"strings"
)

// maxDoorHead bounds the heads that are read at the door. It is what net/http reads whatever its MaxHeaderBytes.
const maxDoorHead = 4 << 10

// readHead reads the head of a request, size bytes of p. It takes only what is as plain as clients' WebSocket handshakes
// are, and what it takes means the same to net/http: a GET of a path by HTTP/1.1, without a body, one host, and headers
// that nobody could read otherwise. For the rest r is nil, and ok says that it may become such a head when there is more of it.
func readHead(p []byte) (r *http.Request, size int, ok bool) {
	const get, end = "GET /", "\r\n\r\n"
	if n := min(len(p), len(get)); string(p[:n]) != get[:n] {
		return nil, 0, false
	}
	at := bytes.Index(p[:min(len(p), maxDoorHead)], []byte(end))
	if at < 0 {
		return nil, 0, len(p) < maxDoorHead
	}
	size = at + len(end)
	text := string(p[:at])
	line, rest, more := strings.Cut(text, "\r\n")
	target, u := readTarget(line)
	if u == nil {
		return nil, 0, false
	}
	h := make(http.Header, 8)
	values := make([]string, 0, 8) // of most headers, which have one
	host := ""
	for more {
		line, rest, more = strings.Cut(rest, "\r\n")
		name, value, colon := strings.Cut(line, ":")
		if !colon || !isToken(name) {
			return nil, 0, false
		}
		if value = strings.Trim(value, " \t"); !isPlain(value) {
			return nil, 0, false
		}
		switch name = textproto.CanonicalMIMEHeaderKey(name); name {
		case "Host":
			if host != "" || !isHost(value) {
				return nil, 0, false
			}
			host = value
			continue
		case "Content-Length", "Transfer-Encoding", "Trailer", "Expect", "Pragma":
			return nil, 0, false
		}
		if old := h[name]; old != nil {
			h[name] = append(old, value)
			continue
		}
		values = append(values, value)
		n := len(values)
		h[name] = values[n-1 : n : n]
	}
	if host == "" {
		return nil, 0, false
	}
	r = new(http.Request)
	r.Method, r.URL, r.RequestURI, r.Host, r.Header = http.MethodGet, u, target, host, h
	r.Proto, r.ProtoMajor, r.ProtoMinor = "HTTP/1.1", 1, 1
	r.Body = http.NoBody
	r.Close = hasToken(h["Connection"], "close")
	return r, size, true
}

// readTarget reads a request's first line. u is nil for one that readHead does not take.
func readTarget(line string) (target string, u *url.URL) {
	target, get := strings.CutPrefix(line, "GET ")
	target, plain := strings.CutSuffix(target, " HTTP/1.1")
	if !get || !plain || !strings.HasPrefix(target, "/") || strings.ContainsFunc(target, func(c rune) bool { return c <= ' ' || c >= 0x7f }) {
		return "", nil
	}
	u, err := url.ParseRequestURI(target)
	if err != nil || u.Host != "" {
		return "", nil
	}
	return target, u
}

// rereadHead is readHead for a connection's next request, behind last, whose headers were the text behind its first line.
// Clients hardly ever change them. It may change last and return it.
func rereadHead(p []byte, last *http.Request, headers string) (r *http.Request, size int, ok bool) {
	line, rest, _ := bytes.Cut(p, []byte("\r\n"))
	if len(headers) == 0 || len(rest) < len(headers) || string(rest[:len(headers)]) != headers {
		return readHead(p)
	}
	size = len(line) + len("\r\n") + len(headers)
	if size > maxDoorHead {
		return nil, 0, false
	}
	const before, behind = "GET ", " HTTP/1.1"
	if n := len(line) - len(behind); n > len(before) && string(line[len(before):n]) == last.RequestURI &&
		string(line[:len(before)]) == before && string(line[n:]) == behind {
		return last, size, true
	}
	target, u := readTarget(string(line))
	if u == nil {
		return nil, 0, false
	}
	last.RequestURI, last.URL = target, u
	return last, size, true
}

// isToken reports whether s is a header's name (RFC 9110, section 5.6.2).
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c <= ' ' || c >= 0x7f || strings.IndexByte("\"(),/:;<=>?@[\\]{}", c) >= 0 {
			return false
		}
	}
	return s != ""
}

// isPlain reports whether s is a header's value of visible characters, spaces and tabs.
func isPlain(s string) bool {
	for i := range len(s) {
		if c := s[i]; c < ' ' && c != '\t' || c >= 0x7f {
			return false
		}
	}
	return true
}

// isHost reports whether s is a name or an address, perhaps with a port.
func isHost(s string) bool {
	for i := range len(s) {
		c := s[i]
		letter := 'a' <= c|0x20 && c|0x20 <= 'z'
		if !letter && !('0' <= c && c <= '9') && strings.IndexByte("-._:[]%", c) < 0 {
			return false
		}
	}
	return s != ""
}
