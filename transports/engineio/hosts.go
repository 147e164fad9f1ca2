package engineio

import (
	"net"
	"net/http"
	"slices"
	"strings"
)

var errForeignHost = &requestError{4, "Host not served here", http.StatusForbidden, "engineio_foreign_host"}

// servesHost reports whether a request's Host header is one of Options.Hosts. A page may have its own name
// resolve to this server's address (DNS rebinding): its origin is then the server's own, and only the Host
// header tells.
func (o *Options) servesHost(host string) bool {
	return len(o.Hosts) == 0 || slices.Contains(o.Hosts, hostName(host))
}

// hostName is the name or address in a Host header, in lower case, without port, brackets and a dot at the end.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
}
