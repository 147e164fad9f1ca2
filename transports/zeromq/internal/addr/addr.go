// Package addr reads the endpoints of ZeroMQ, tcp://host:port and ipc://path, binds them and connects to them.
package addr

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"math/rand/v2"
	"net"
	"os"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// maxPath is the system's place for a socket's path and the zero behind it.
const maxPath = len(syscall.RawSockaddrUnix{}.Path)

// Parse turns tcp://host:port and ipc://path into what package net takes.
func Parse(endpoint string) (network, address string, err error) {
	scheme, rest, ok := strings.Cut(endpoint, "://")
	switch {
	case !ok || rest == "":
		return "", "", fmt.Errorf("endpoint %q: want tcp://host:port or ipc:///path", endpoint)
	case scheme == "tcp":
		host, port, err := net.SplitHostPort(rest)
		if err != nil {
			return "", "", fmt.Errorf("endpoint %q: %w", endpoint, err)
		}
		if host == "*" { // libzmq's spelling
			host = ""
		}
		if port == "*" {
			port = "0"
		}
		return "tcp", net.JoinHostPort(host, port), nil
	case scheme == "ipc" && runtime.GOOS == "windows":
		return "", "", fmt.Errorf("endpoint %q: ipc is not available on Windows, use tcp on 127.0.0.1", endpoint)
	case scheme == "ipc" && strings.HasPrefix(rest, "@") && runtime.GOOS != "linux":
		return "", "", fmt.Errorf("endpoint %q: abstract sockets exist on Linux only", endpoint)
	case scheme == "ipc" && len(rest) >= maxPath:
		return "", "", fmt.Errorf("endpoint %q: a socket's path has at most %d bytes", endpoint, maxPath-1)
	case scheme == "ipc" && rest != "*" && rest != "@":
		return "unix", rest, nil
	}
	return "", "", fmt.Errorf("endpoint %q: want tcp://host:port or ipc:///path", endpoint)
}

// Bind listens at an endpoint. insecure allows TCP addresses that are not loopback.
func Bind(endpoint string, insecure bool, mode fs.FileMode) (net.Listener, error) {
	network, address, err := Parse(endpoint)
	if err != nil {
		return nil, err
	}
	if network == "unix" {
		return bindUnix(address, mode)
	}
	tcp, err := net.ResolveTCPAddr("tcp", address)
	if err != nil {
		return nil, err
	}
	if !insecure && !tcp.IP.IsLoopback() {
		return nil, fmt.Errorf("binding %s is refused because neither NULL nor PLAIN keeps anything from who reaches the network: bind a loopback address, use CURVE, or set Insecure", endpoint)
	}
	return net.ListenTCP("tcp", tcp)
}

// bindUnix listens on a socket file, or on an abstract name. A file that a crashed process left
// behind is removed once nobody answers on it.
func bindUnix(path string, mode fs.FileMode) (net.Listener, error) {
	ln, err := net.Listen("unix", path)
	if strings.HasPrefix(path, "@") {
		return ln, err
	}
	if errors.Is(err, syscall.EADDRINUSE) {
		if err := removeStale(path); err != nil {
			return nil, err
		}
		ln, err = net.Listen("unix", path)
	}
	if err != nil {
		return nil, err
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return ln, nil
}

func removeStale(path string) error {
	info, err := os.Lstat(path)
	if err != nil {
		return err
	}
	if info.Mode()&fs.ModeSocket == 0 {
		return fmt.Errorf("%s exists and is not a socket", path)
	}
	probe, err := net.DialTimeout("unix", path, time.Second)
	if err == nil {
		return errors.Join(fmt.Errorf("%s is in use by another process", path), probe.Close())
	}
	if !errors.Is(err, syscall.ECONNREFUSED) {
		return err
	}
	return os.Remove(path)
}

// Of writes a listener's address as an endpoint to connect to.
func Of(a net.Addr) string {
	if a.Network() == "unix" {
		return "ipc://" + a.String()
	}
	return "tcp://" + a.String()
}

// Dial connects to an endpoint.
func Dial(ctx context.Context, endpoint string) (net.Conn, error) {
	network, address, err := Parse(endpoint)
	if err != nil {
		return nil, err
	}
	var d net.Dialer
	return d.DialContext(ctx, network, address)
}

// Backoff says how long to wait before something is tried again: ever longer, from Min to Max. The zero pause is Min.
type Backoff struct {
	Min, Max time.Duration
	pause    time.Duration
}

// Next is the next pause. Half of it is random, so that many who lost the same peer do not come back to it at once.
func (b *Backoff) Next() time.Duration {
	pause := max(b.pause, b.Min)
	b.pause = min(2*pause, b.Max)
	return pause/2 + rand.N(pause/2+1)
}

// Reset begins with Min again.
func (b *Backoff) Reset() { b.pause = 0 }
