package main

import (
	"fmt"
	"net"
	"net/http"
	"slices"
	"strings"
)

// reasonForeignHost counts requests whose Host header names somebody else.
const reasonForeignHost = "http_foreign_host"

// ownHosts lets requests through that name this machine, or one of names, as their host. A page of
// evil.example whose name its owner points at 127.0.0.1 is of the server's own origin as far as the browser
// can tell (DNS rebinding); the Host header is all that gives it away. The others get 403; refused hears of
// them.
func ownHosts(names []string, next http.Handler, refused func(r *http.Request)) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if ownHost(names, r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		refused(r)
		plain(w, http.StatusForbidden, fmt.Sprintf(
			"The host %.100q is not served here: this server answers to localhost and to loopback addresses, and to other names only when it is started with --host NAME.", hostName(r.Host)))
	})
}

// ownHost reports whether a Host header names this machine, or one of names.
func ownHost(names []string, header string) bool {
	host := hostName(header)
	return loopback(host) || strings.HasSuffix(host, ".localhost") || slices.Contains(names, host)
}

// hostName is the name in a Host header, in lower case and without the port.
func hostName(host string) string {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	} else if strings.HasPrefix(host, "[") {
		host = strings.Trim(host, "[]")
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkHost returns a --host in the form that hostName gives.
func checkHost(name string) (string, error) {
	host := hostName(name)
	if host == "" || host != strings.ToLower(strings.TrimSuffix(strings.Trim(name, "[]"), ".")) ||
		strings.ContainsAny(host, "/ *@?#[]") || strings.Contains(host, ":") && net.ParseIP(host) == nil {
		return "", misuse("--host %q is no host: want a name or an address, without a scheme and a port", name)
	}
	return host, nil
}
