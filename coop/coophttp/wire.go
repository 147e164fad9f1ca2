package coophttp

import (
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

// appendStatus appends the status line.
func appendStatus(out []byte, r *http.Request, status int) []byte {
	if r.ProtoAtLeast(1, 1) {
		out = append(out, "HTTP/1.1 "...)
	} else {
		out = append(out, "HTTP/1.0 "...)
	}
	out = strconv.AppendInt(out, int64(status), 10)
	out = append(out, ' ')
	out = append(out, http.StatusText(status)...)
	return append(out, "\r\n"...)
}

// appendHeader appends the lines of h that are the handler's to decide and do not come later, by name.
func appendHeader(out []byte, h http.Header, later []string) []byte {
	var few [16]string
	names := few[:0]
	for name := range h {
		switch {
		case name == "Content-Length", name == "Transfer-Encoding", name == "Connection":
		case strings.HasPrefix(name, http.TrailerPrefix):
		case slices.Contains(later, name):
		default:
			names = append(names, name)
		}
	}
	slices.Sort(names)
	for _, name := range names {
		for _, v := range h[name] {
			out = appendLine(out, name, v)
		}
	}
	return out
}

// appendLine appends a header's line. What would end the line is made a space; a name that is not one
// is left out.
func appendLine(out []byte, name, value string) []byte {
	if !isToken(name) {
		return out
	}
	out = append(out, name...)
	out = append(out, ": "...)
	for i := range len(value) {
		c := value[i]
		if c == '\r' || c == '\n' || c == 0 {
			c = ' '
		}
		out = append(out, c)
	}
	return append(out, "\r\n"...)
}

// isToken: RFC 9110, section 5.6.2.
func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		case strings.IndexByte("!#$%&'*+-.^_`|~", c) >= 0:
		default:
			return false
		}
	}
	return s != ""
}

// appendRefusal appends an answer to what was no request.
func appendRefusal(out []byte, status int, why string) []byte {
	text := strconv.Itoa(status) + " " + http.StatusText(status)
	out = append(out, "HTTP/1.1 "...)
	out = append(out, text...)
	out = append(out, "\r\nContent-Type: text/plain; charset=utf-8\r\nConnection: close\r\n\r\n"...)
	out = append(out, text...)
	if why != "" {
		out = append(out, ": "...)
		out = append(out, why...)
	}
	return out
}

// dateLine is the Date header, made once a second.
type dateLine struct {
	second int64
	line   []byte
}

func (d *dateLine) append(out []byte, now time.Time) []byte {
	if s := now.Unix(); s != d.second || d.line == nil {
		d.second = s
		d.line = append(d.line[:0], "Date: "...)
		d.line = now.UTC().AppendFormat(d.line, http.TimeFormat)
		d.line = append(d.line, "\r\n"...)
	}
	return append(out, d.line...)
}
