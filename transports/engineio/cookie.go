package engineio

import (
	"net/http"
	"strconv"
	"strings"
	"time"
)

// Cookie is set by the answer to a polling handshake, with the session's id as its value, so that a load
// balancer can send all requests of a session to one server. The server itself never reads it: whoever has
// the id in the query has the session.
type Cookie struct {
	// Name, default "io".
	Name string
	// Path under which the browser returns it, default "/".
	Path string
	// Domain, when the cookie is for more hosts than the server's own.
	Domain string
	// MaxAge, in whole seconds, is how long the browser keeps it; 0: until it is closed. Expires says the
	// same by a date.
	MaxAge  time.Duration
	Expires time.Time
	// Readable lets the page's scripts read it: it goes without HttpOnly.
	Readable bool
	// Secure: it travels by TLS only.
	Secure bool
	// SameSite, default [http.SameSiteLaxMode].
	SameSite http.SameSite
}

// header returns what stands before and behind the session's id in a Set-Cookie header. The attributes are
// in the order of the npm package cookie. An error means that no browser would understand it.
func (c Cookie) header() (before, behind string, err error) {
	if c.Name == "" {
		c.Name = "io"
	}
	if c.Path == "" {
		c.Path = "/"
	}
	check := http.Cookie{Name: c.Name, Value: "x", Path: c.Path, Domain: c.Domain, Expires: c.Expires}
	if err := check.Valid(); err != nil {
		return "", "", err
	}
	var b strings.Builder
	if seconds := int64(c.MaxAge / time.Second); seconds != 0 {
		b.WriteString("; Max-Age=" + strconv.FormatInt(max(0, seconds), 10))
	}
	if c.Domain != "" {
		b.WriteString("; Domain=" + c.Domain)
	}
	b.WriteString("; Path=" + c.Path)
	if !c.Expires.IsZero() {
		b.WriteString("; Expires=" + c.Expires.UTC().Format(http.TimeFormat))
	}
	if !c.Readable {
		b.WriteString("; HttpOnly")
	}
	if c.Secure {
		b.WriteString("; Secure")
	}
	switch c.SameSite {
	case http.SameSiteStrictMode:
		b.WriteString("; SameSite=Strict")
	case http.SameSiteNoneMode:
		b.WriteString("; SameSite=None")
	default:
		b.WriteString("; SameSite=Lax")
	}
	return c.Name + "=", b.String(), nil
}

// setCookie adds the cookie to the answer of a handshake, if there is to be one.
func (srv *Server) setCookie(h http.Header, sid string) {
	if srv.cookie[0] != "" {
		h.Add("Set-Cookie", srv.cookie[0]+sid+srv.cookie[1])
	}
}
