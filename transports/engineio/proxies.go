package engineio

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
)

// secureKey is the context key of a request that reached a trusted proxy by TLS.
type secureKey struct{}

// proxied returns r with the address of the client that a trusted proxy has passed on. What others say in
// X-Forwarded-For counts for nothing: anybody can write there.
func (srv *Server) proxied(r *http.Request) *http.Request {
	trusted := srv.opts.TrustedProxies
	if len(trusted) == 0 {
		return r
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !contains(trusted, peer.Addr()) {
		return r
	}
	ctx := r.Context()
	if strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		ctx = context.WithValue(ctx, secureKey{}, true)
	}
	r = r.WithContext(ctx) // a copy: requests belong to net/http
	if client, ok := forwardedFor(r.Header["X-Forwarded-For"], trusted); ok {
		r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
	}
	return r
}

// forwardedFor returns the client's address from X-Forwarded-For. Every proxy adds the peer that it has
// seen at the end, so it is the last one that is no trusted proxy; what stands before it comes from the
// client. When all are trusted it is the first of them; when one is not an address, the one behind it.
func forwardedFor(header []string, trusted []netip.Prefix) (client netip.Addr, ok bool) {
	for i := len(header) - 1; i >= 0; i-- {
		rest := header[i]
		for rest != "" {
			entry := rest
			if comma := strings.LastIndexByte(rest, ','); comma >= 0 {
				rest, entry = rest[:comma], rest[comma+1:]
			} else {
				rest = ""
			}
			addr, valid := parseForwarded(strings.TrimSpace(entry))
			if !valid {
				return client, ok
			}
			client, ok = addr, true
			if !contains(trusted, addr) {
				return client, true
			}
		}
	}
	return client, ok
}

// parseForwarded reads an address, to which some proxies add a port.
func parseForwarded(s string) (netip.Addr, bool) {
	if a, err := netip.ParseAddr(strings.Trim(s, "[]")); err == nil {
		return a.Unmap().WithZone(""), true
	}
	a, err := netip.ParseAddrPort(s)
	return a.Addr().Unmap().WithZone(""), err == nil
}

func contains(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// isSecure reports whether r's client uses TLS, to this server or to a trusted proxy.
func isSecure(r *http.Request) bool {
	return r.TLS != nil || r.Context().Value(secureKey{}) != nil
}
