package main

import (
	"fmt"
	"net/url"
	"strings"
)

// usageError is a command line that makes no sense: the exit code is 2, and trying again does not help.
type usageError struct{ text string }

func (e *usageError) Error() string { return e.text }

func misuse(format string, args ...any) error { return &usageError{fmt.Sprintf(format, args...)} }

// checkServer refuses what can be no server's address for publish and listen.
func checkServer(flag, addr string) error {
	if overHTTP(addr) {
		if u, err := url.Parse(addr); err == nil && u.Host != "" {
			return nil
		}
	} else if _, ok := hostOf(addr, true); ok {
		return nil
	}
	return misuse("%s %q is no address: want tcp://host:port, ipc:///path or http://host:port", flag, addr)
}

// checkOrigin returns an origin as browsers send it: in lower case, without a slash behind it and without the
// port that its scheme implies. What browsers send is compared with it byte by byte.
func checkOrigin(origin string) (string, error) {
	if origin == "*" {
		return origin, nil
	}
	u, err := url.Parse(strings.ToLower(strings.TrimSuffix(origin, "/")))
	if err != nil || u.Scheme == "" || u.Hostname() == "" || u.String() != u.Scheme+"://"+u.Host || u.Hostname() == "*" {
		return "", misuse("--cors-origin %q is no origin: want scheme://host or scheme://host:port, or * for any", origin)
	}
	implied := map[string]string{"http": "80", "https": "443"}[u.Scheme]
	if p := u.Port(); p == implied || p == "" {
		u.Host = strings.TrimSuffix(u.Host, ":"+p)
	}
	return u.String(), nil
}
