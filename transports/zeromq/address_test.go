package zeromq

import (
	"errors"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

func TestParseEndpoint(t *testing.T) {
	for endpoint, want := range map[string]string{
		"tcp://127.0.0.1:5560": "tcp 127.0.0.1:5560",
		"tcp://*:5560":         "tcp :5560",
		"tcp://127.0.0.1:*":    "tcp 127.0.0.1:0",
		"tcp://[::1]:1":        "tcp [::1]:1",
		"tcp://localhost:1":    "tcp localhost:1",

		"":                    "",
		"127.0.0.1:5560":      "",
		"tcp://":              "",
		"tcp://127.0.0.1":     "",
		"tcp://::1:5560":      "",
		"udp://127.0.0.1:1":   "",
		"inproc://x":          "",
		"TCP://127.0.0.1:1":   "",
		"http://127.0.0.1:80": "",
		"ipc://":              "",
		"ipc://*":             "",
		"ipc://@":             "",

		"ipc:///" + strings.Repeat("x", 120): "",
	} {
		network, address, err := parseEndpoint(endpoint)
		if want == "" {
			if err == nil || !strings.Contains(err.Error(), "endpoint") {
				t.Errorf("%q: %s %s, %v", endpoint, network, address, err)
			}
		} else if got := network + " " + address; err != nil || got != want {
			t.Errorf("%q: %s, %v; want %s", endpoint, got, err, want)
		}
	}
	if runtime.GOOS != "windows" {
		if network, address, err := parseEndpoint("ipc:///tmp/s"); network != "unix" || address != "/tmp/s" || err != nil {
			t.Error(network, address, err)
		}
	}
}

// TestListenRefuses what is reachable from elsewhere, what is no address, and what is in use; nothing stays
// open then.
func TestListenRefuses(t *testing.T) {
	busy := listen(t, newFakeHub(), Options{Pull: anyPort}).Addr("pull")
	for _, c := range []struct {
		name, says string
		o          Options
	}{
		{"every interface", "Insecure", Options{Pull: anyPort, Pub: "tcp://*:0"}},
		{"every interface by its number", "Insecure", Options{Pull: anyPort, Sub: "tcp://0.0.0.0:0"}},
		{"every interface of IPv6", "Insecure", Options{Pull: "tcp://[::]:0"}},
		{"another network", "Insecure", Options{Pull: "tcp://192.0.2.1:5560"}},
		{"no address", "want tcp://", Options{Pull: anyPort, Pub: "5561"}},
		{"a busy port", "in use", Options{Sub: anyPort, Pull: busy}},
	} {
		returned := footprint(t)
		b, err := Listen(newFakeHub(), c.o)
		if err == nil || !strings.Contains(err.Error(), c.says) || b != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		returned()
	}
}

func TestInsecureAllowsEveryInterface(t *testing.T) {
	b := listen(t, newFakeHub(), Options{Pull: "tcp://*:*", Insecure: true})
	_, port, err := net.SplitHostPort(strings.TrimPrefix(b.Addr("pull"), "tcp://"))
	if err != nil || port == "0" {
		t.Fatal(b.Addr("pull"), err)
	}
	push(t, "tcp://127.0.0.1:"+port)
}

func TestSocketFiles(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("ipc is not available on Windows")
	}
	dir, err := os.MkdirTemp("", "zmq") // short: a socket's path has at most about 100 bytes
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "s")
	mode := func() fs.FileMode {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Mode().Perm()
	}
	b := listen(t, newFakeHub(), Options{Pull: "ipc://" + path})
	if mode() != 0o600 {
		t.Errorf("mode %o", mode())
	}
	if _, err := Listen(newFakeHub(), Options{Pull: "ipc://" + path, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "in use by another process") {
		t.Errorf("a second server: %v", err)
	}
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("after Close: %v", err)
	}

	// What a crash leaves behind.
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	ln.SetUnlinkOnClose(false)
	if err := ln.Close(); err != nil {
		t.Fatal(err)
	}
	b = listen(t, newFakeHub(), Options{Pull: "ipc://" + path, IPCMode: 0o660})
	if mode() != 0o660 {
		t.Errorf("mode %o", mode())
	}
	push(t, b.Addr("pull"))

	// Somebody's file is not ours to remove.
	path = filepath.Join(dir, "file")
	if err := os.WriteFile(path, []byte("precious"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Listen(newFakeHub(), Options{Pull: "ipc://" + path, Logger: quiet}); err == nil || !strings.Contains(err.Error(), "not a socket") {
		t.Errorf("over a file: %v", err)
	}
	if got, err := os.ReadFile(path); string(got) != "precious" {
		t.Errorf("the file: %q, %v", got, err)
	}
}
