package engineio

import (
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// CORS says which origins besides the server's own may open sessions. Browsers
// enforce it for polling by the headers set here; WebSockets know no such rule,
// so the server itself refuses handshakes from any other origin.
type CORS struct {
	// AllowedOrigins are compared exactly ("https://app.example.com"); "*" allows all. Empty: same
	// origin only, and no CORS headers at all.
	AllowedOrigins []string
	// Credentials allows cookies and HTTP authentication. With "*" the origin is echoed then, because
	// browsers do not accept the star together with credentials.
	Credentials bool
}

const corsMethods = "GET,HEAD,PUT,PATCH,POST,DELETE"

// match returns the value for Access-Control-Allow-Origin, "" when origin is not
// in the list, and whether the value depends on the request.
func (c *CORS) match(origin string) (allow string, varies bool) {
	for _, o := range c.AllowedOrigins {
		if o == "*" && !c.Credentials {
			return "*", false
		}
		if o == "*" || o == origin {
			return origin, true
		}
	}
	return "", true
}

// header sets the response headers for r, and answers it when it is a preflight.
// The same headers go onto every answer, errors and the 101 included.
func (c *CORS) header(h http.Header, r *http.Request) (preflight bool) {
	if len(c.AllowedOrigins) == 0 {
		return false
	}
	allow, varies := c.match(r.Header.Get("Origin"))
	if allow != "" {
		h.Set("Access-Control-Allow-Origin", allow)
		if c.Credentials {
			h.Set("Access-Control-Allow-Credentials", "true")
		}
	}
	if varies {
		h.Add("Vary", "Origin")
	}
	if r.Method != http.MethodOptions {
		return false
	}
	h.Set("Access-Control-Allow-Methods", corsMethods)
	h.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		h.Set("Access-Control-Allow-Headers", asked)
	}
	return true
}

// allowsOrigin reports whether r may open a session: same-origin or listed origins
// are welcome, and so are requests without an Origin, which do not come from a
// page; unless the browser says that they do, from another site: an image's or a
// script's address is fetched without an Origin.
func (c *CORS) allowsOrigin(r *http.Request) bool {
	origins := r.Header["Origin"]
	if len(origins) == 0 {
		return r.Header.Get("Sec-Fetch-Site") != "cross-site" || slices.Contains(c.AllowedOrigins, "*")
	}
	if len(origins) > 1 {
		return false
	}
	if sameOrigin(origins[0], r.Host) {
		return true
	}
	allow, _ := c.match(origins[0])
	return allow != ""
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
