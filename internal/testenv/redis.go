//go:build unix

package testenv

import (
	"context"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Redis is a redis-server of one test, on a port of the loopback interface and on a Unix socket. It keeps nothing on
// disk unless its arguments say so.
type Redis struct {
	*Process
	Addr   string // host:port
	Socket string // path
	Dir    string // its working directory

	t    testing.TB
	args []string
}

// StartRedis starts a redis-server. Arguments are those of the program: "--requirepass", "secret".
func StartRedis(t testing.TB, args ...string) *Redis {
	t.Helper()
	return startRedis(t, FreePort(t), args...)
}

func startRedis(t testing.TB, port int, args ...string) *Redis {
	t.Helper()
	dir, err := os.MkdirTemp("", "redis") // the path of a Unix socket has to be short, t.TempDir's is not
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	r := &Redis{
		Addr: net.JoinHostPort("127.0.0.1", strconv.Itoa(port)), Socket: filepath.Join(dir, "s"), Dir: dir, t: t,
	}
	r.args = append([]string{
		"--port", strconv.Itoa(port), "--bind", "127.0.0.1", "--dir", dir, "--unixsocket", r.Socket,
		"--save", "", "--appendonly", "no", "--daemonize", "no", "--protected-mode", "no",
	}, args...)
	r.start()
	return r
}

func (r *Redis) start() {
	r.t.Helper()
	p := Start(r.t, Command{Path: Program(r.t, "redis-server", "redis-server"), Args: r.args, Dir: r.Dir, Ready: ReadyOutput("Ready to accept connections")})
	r.Process = p
	r.t.Cleanup(func() { _ = p.Signal(syscall.SIGCONT) }) // before it is asked to end
}

// URL is redis://host:port.
func (r *Redis) URL() string { return "redis://" + r.Addr }

// Freeze stops the process without ending it, as a machine that hangs would; Thaw lets it go on.
func (r *Redis) Freeze() { r.signal(syscall.SIGSTOP) }

// Thaw is the end of Freeze.
func (r *Redis) Thaw() { r.signal(syscall.SIGCONT) }

func (r *Redis) signal(sig syscall.Signal) {
	r.t.Helper()
	if err := r.Signal(sig); err != nil {
		r.t.Fatalf("%v to redis-server: %v", sig, err)
	}
}

// Restart starts a server that has ended again, with the same port and directory.
func (r *Redis) Restart() {
	r.t.Helper()
	r.start()
}

// Do runs redis-cli with the arguments against the server and returns what it prints.
func (r *Redis) Do(args ...string) string {
	r.t.Helper()
	return redisCLI(r.t, r.Addr, args...)
}

func redisCLI(t testing.TB, addr string, args ...string) string {
	t.Helper()
	path := Program(t, "redis-cli", "redis-tools")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}
