package engineio

import (
	"net"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// CORS says which origins besides the server's own may open sessions. Browsers
// enforce it for polling by the headers set here; WebSockets know no such rule,
// so the server itself refuses handshakes from any other origin.
//
// The headers are those of the npm package cors, which the Node.js server uses.
// Without any origin allowed there are none.
type CORS struct {
	// AllowedOrigins are compared exactly ("https://app.example.com"); "*" allows all. A single one is
	// named in every answer, whoever asks; of several, the one that asks.
	AllowedOrigins []string
	// OriginPatterns allow the origins that they match as a whole:
	// regexp.MustCompile(`https://[a-z]+\.example\.com`).
	OriginPatterns []*regexp.Regexp
	// AllowOrigin allows those for which it returns true. It is asked when nothing above matches, on
	// net/http's goroutine, and may be asked twice for one request.
	AllowOrigin func(r *http.Request, origin string) bool

	// Credentials allows cookies and HTTP authentication. With "*" the origin is echoed then, because
	// browsers do not accept the star together with credentials.
	Credentials bool
	// Methods are named in the answer to a preflight. Default: GET, HEAD, PUT, PATCH, POST, DELETE.
	Methods []string
	// AllowedHeaders are named in the answer to a preflight. Default: those that it asks for.
	AllowedHeaders []string
	// ExposedHeaders are response headers that pages may read.
	ExposedHeaders []string
	// MaxAge, when not 0, is how long a browser may remember the answer to a preflight, in whole
	// seconds; below 0 not at all.
	MaxAge time.Duration
}

const corsMethods = "GET,HEAD,PUT,PATCH,POST,DELETE"

// withDefaults makes the patterns match whole origins only: one that is forgotten to be anchored would
// allow https://app.example.com.evil.example.
func (c CORS) withDefaults() CORS {
	c.OriginPatterns = slices.Clone(c.OriginPatterns)
	for i, p := range c.OriginPatterns {
		c.OriginPatterns[i] = regexp.MustCompile("^(?:" + p.String() + ")$") // it was compiled before
	}
	return c
}

// enabled reports whether any origin but the server's own can be allowed.
func (c *CORS) enabled() bool {
	return len(c.AllowedOrigins) > 0 || len(c.OriginPatterns) > 0 || c.AllowOrigin != nil
}

// single returns the one origin that is allowed, if it is no star.
func (c *CORS) single() (origin string, ok bool) {
	if len(c.AllowedOrigins) != 1 || len(c.OriginPatterns) > 0 || c.AllowOrigin != nil || c.AllowedOrigins[0] == "*" {
		return "", false
	}
	return c.AllowedOrigins[0], true
}

func (c *CORS) allowsAll() bool { return slices.Contains(c.AllowedOrigins, "*") }

// allows reports whether r may come from origin, which is not empty.
func (c *CORS) allows(r *http.Request, origin string) bool {
	return c.allowsAll() || slices.Contains(c.AllowedOrigins, origin) ||
		slices.ContainsFunc(c.OriginPatterns, func(p *regexp.Regexp) bool { return p.MatchString(origin) }) ||
		c.AllowOrigin != nil && c.AllowOrigin(r, origin)
}

// match returns the value for Access-Control-Allow-Origin, "" when the request's origin is not allowed,
// and whether the value depends on the request (or may, in the eyes of a cache).
func (c *CORS) match(r *http.Request) (allow string, varies bool) {
	if c.allowsAll() && !c.Credentials {
		return "*", false
	}
	if origin, ok := c.single(); ok {
		return origin, true
	}
	if origin := r.Header.Get("Origin"); origin != "" && c.allows(r, origin) {
		return origin, true
	}
	return "", true
}

// header sets the response headers for r, and answers it when it is a preflight.
// The same headers go onto every answer, errors and the 101 included.
func (c *CORS) header(h http.Header, r *http.Request) (preflight bool) {
	if !c.enabled() {
		return false
	}
	allow, varies := c.match(r)
	if allow != "" {
		h.Set("Access-Control-Allow-Origin", allow)
		if c.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
		if len(c.ExposedHeaders) > 0 {
			h.Set("Access-Control-Expose-Headers", strings.Join(c.ExposedHeaders, ","))
		}
	}
	if varies {
		addVary(h, "Origin")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	methods := corsMethods
	if len(c.Methods) > 0 {
		methods = strings.Join(c.Methods, ",")
	}
	h.Set("Access-Control-Allow-Methods", methods)
	if len(c.AllowedHeaders) > 0 {
		h.Set("Access-Control-Allow-Headers", strings.Join(c.AllowedHeaders, ","))
	} else {
		addVary(h, "Access-Control-Request-Headers")
		if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
			h.Set("Access-Control-Allow-Headers", asked)
		}
	}
	switch {
	case c.MaxAge > 0:
		h.Set("Access-Control-Max-Age", strconv.FormatInt(int64(c.MaxAge/time.Second), 10))
	case c.MaxAge < 0:
		h.Set("Access-Control-Max-Age", "-1")
	}
	return true
}

// addVary adds a name to the Vary header, on one line as the npm package does.
func addVary(h http.Header, name string) {
	if old := h.Get("Vary"); old != "" {
		name = old + ", " + name
	}
	h.Set("Vary", name)
}

// allowsOrigin reports whether r may open a session: same-origin or listed origins
// are welcome, and so are requests without an Origin, which do not come from a
// page; unless the browser says that they do, from another site: an image's or a
// script's address is fetched without an Origin.
func (c *CORS) allowsOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	switch {
	case len(origins) == 0:
		return r.Header.Get("Sec-Fetch-Site") != "cross-site" || c.allowsAll()
	case len(origins) > 1 || origins[0] == "":
		return false
	}
	return sameOrigin(origins[0], r.Host) || c.allows(r, origins[0])
}

// sameOrigin compares an Origin header with a Host header, both with the port
// that the origin's scheme implies. The scheme itself is not compared: behind a
// proxy that ends TLS the server cannot know its own.
func sameOrigin(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || len(origin) != len(u.Scheme)+len("://")+len(u.Host) {
		return false // an origin is a scheme, a host and a port; no browser sends more
	}
	var port string
	switch u.Scheme {
	case "http":
		port = "80"
	case "https":
		port = "443"
	default:
		return false
	}
	return strings.EqualFold(withPort(u.Host, port), withPort(host, port))
}

func withPort(host, port string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(strings.Trim(host, "[]"), port)
}

// validOrigin refuses the bytes that a header value may not hold (Node.js:
// INVALID_ORIGIN). net/http refuses most of them before.
func validOrigin(origin string) bool {
	for i := 0; i < len(origin); i++ {
		if c := origin[i]; c < 0x20 && c != '\t' || c == 0x7f {
			return false
		}
	}
	return true
}
