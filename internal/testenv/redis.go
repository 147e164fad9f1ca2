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

// Try is Do for a server that may be closing connections just now: then ok is false.
func (r *Redis) Try(args ...string) (out string, ok bool) {
	r.t.Helper()
	out, err := tryCLI(r.t, r.Addr, args...)
	return out, err == nil
}

func redisCLI(t testing.TB, addr string, args ...string) string {
	t.Helper()
	out, err := tryCLI(t, addr, args...)
	if err != nil {
		t.Fatalf("redis-cli %s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return out
}

func tryCLI(t testing.TB, addr string, args ...string) (string, error) {
	t.Helper()
	path := Program(t, "redis-cli", "redis-tools")
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	out, err := exec.CommandContext(ctx, path, append([]string{"-h", host, "-p", port}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// RedisCluster is a Redis Cluster of one test.
type RedisCluster struct {
	Masters  []*Redis // each has an equal part of the slots, in order
	Replicas []*Redis // of the masters, in order

	t testing.TB
}

// StartRedisCluster starts a Cluster of so many masters, with one replica each if asked for. A node that is silent for a
// second has failed.
func StartRedisCluster(t testing.TB, masters int, replicas bool, args ...string) *RedisCluster {
	t.Helper()
	c := &RedisCluster{t: t}
	n := masters
	if replicas {
		n *= 2
	}
	var nodes []*Redis
	var buses []string
	for range n {
		bus := strconv.Itoa(FreePort(t))
		buses = append(buses, bus)
		nodes = append(nodes, StartRedis(t, append([]string{
			"--cluster-enabled", "yes", "--cluster-port", bus, "--cluster-node-timeout", "1000",
			"--cluster-replica-validity-factor", "0", "--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1",
		}, args...)...))
	}
	c.Masters, c.Replicas = nodes[:masters], nodes[masters:]
	for i, node := range c.Masters {
		node.Do("CLUSTER", "SET-CONFIG-EPOCH", strconv.Itoa(i+1))
		node.Do("CLUSTER", "ADDSLOTSRANGE", strconv.Itoa(i*16384/masters), strconv.Itoa((i+1)*16384/masters-1))
	}
	for i, node := range nodes[1:] {
		host, port, _ := net.SplitHostPort(node.Addr)
		nodes[0].Do("CLUSTER", "MEET", host, port, buses[i+1])
	}
	c.await("all to know each other", func(r *Redis) bool {
		return strings.Contains(r.Do("CLUSTER", "INFO"), "cluster_known_nodes:"+strconv.Itoa(n)) &&
			!strings.Contains(r.Do("CLUSTER", "NODES"), "handshake")
	}, nodes...)
	for i, node := range c.Replicas {
		node.Do("CLUSTER", "REPLICATE", c.ID(c.Masters[i]))
	}
	c.await("all to be well", func(r *Redis) bool {
		return strings.Contains(r.Do("CLUSTER", "INFO"), "cluster_state:ok") &&
			strings.Count(r.Do("CLUSTER", "NODES"), "slave") == len(c.Replicas)
	}, nodes...)
	c.await("replicas to be in step", func(r *Redis) bool {
		return strings.Contains(r.Do("INFO", "replication"), "master_link_status:up")
	}, c.Replicas...)
	return c
}

// URL is redis+cluster://host:port,… of all masters.
func (c *RedisCluster) URL() string {
	var addrs []string
	for _, m := range c.Masters {
		addrs = append(addrs, m.Addr)
	}
	return "redis+cluster://" + strings.Join(addrs, ",")
}

// ID is how the Cluster calls the node.
func (c *RedisCluster) ID(r *Redis) string { return r.Do("CLUSTER", "MYID") }

// Move gives the slot of a key to the next master.
func (c *RedisCluster) Move(slot int, meanwhile ...func()) (to *Redis) {
	c.t.Helper()
	owner := c.Owner(c.Masters[0], slot)
	for i, m := range c.Masters {
		if m.Addr == owner {
			to = c.Masters[(i+1)%len(c.Masters)]
			c.MoveSlot(slot, m, to, meanwhile...)
			return to
		}
	}
	c.t.Fatalf("nobody has the slot %d", slot)
	return nil
}

// Owner is the address of the node that has the slot, as from sees it.
func (c *RedisCluster) Owner(from *Redis, slot int) string {
	c.t.Helper()
	for _, line := range strings.Split(from.Do("CLUSTER", "NODES"), "\n") {
		words := strings.Fields(line)
		for _, span := range words[min(8, len(words)):] {
			first, last, ok := strings.Cut(span, "-")
			if !ok {
				last = first
			}
			a, err1 := strconv.Atoi(first)
			b, err2 := strconv.Atoi(last)
			if err1 == nil && err2 == nil && a <= slot && slot <= b {
				addr, _, _ := strings.Cut(words[1], "@")
				return addr
			}
		}
	}
	return ""
}

// MoveSlot gives a slot with its keys to another master. While each part of it is done, meanwhile is called: when the move
// has begun, when half of the keys have gone, when all have, and when the new owner has the slot and the old one does
// not know it.
func (c *RedisCluster) MoveSlot(slot int, from, to *Redis, meanwhile ...func()) {
	c.t.Helper()
	look := func() {
		for _, f := range meanwhile {
			f()
		}
	}
	s := strconv.Itoa(slot)
	to.Do("CLUSTER", "SETSLOT", s, "IMPORTING", c.ID(from))
	from.Do("CLUSTER", "SETSLOT", s, "MIGRATING", c.ID(to))
	look()
	host, port, _ := net.SplitHostPort(to.Addr)
	n, err := strconv.Atoi(from.Do("CLUSTER", "COUNTKEYSINSLOT", s))
	if err != nil {
		c.t.Fatal(err)
	}
	for _, most := range []int{(n + 1) / 2, 1 << 20} {
		keys := from.Do("CLUSTER", "GETKEYSINSLOT", s, strconv.Itoa(most))
		if keys != "" {
			from.Do(append([]string{"MIGRATE", host, port, "", "0", "5000", "KEYS"}, strings.Split(keys, "\n")...)...)
		}
		look()
	}
	to.Do("CLUSTER", "SETSLOT", s, "NODE", c.ID(to))
	look()
	from.Do("CLUSTER", "SETSLOT", s, "NODE", c.ID(to))
}

func (c *RedisCluster) await(what string, ok func(*Redis) bool, nodes ...*Redis) {
	c.t.Helper()
	for _, node := range nodes {
		awaitRedis(c.t, what, func() bool { return ok(node) })
	}
}

func awaitRedis(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(time.Minute); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("waiting for Redis: %s", what)
		}
	}
}

// RedisSentinel is a master with a replica and a Sentinel that makes one of them the master called "main".
type RedisSentinel struct {
	Master, Replica *Redis
	Sentinel        *Process
	Addr            string // of the Sentinel
}

// StartRedisSentinel starts them. A master that is silent for a second has failed.
func StartRedisSentinel(t testing.TB, args ...string) *RedisSentinel {
	t.Helper()
	s := new(RedisSentinel)
	quick := append([]string{"--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1"}, args...)
	s.Master = StartRedis(t, quick...)
	host, port, _ := net.SplitHostPort(s.Master.Addr)
	s.Replica = StartRedis(t, append(quick, "--replicaof", host, port)...)
	awaitRedis(t, "the replica to be in step", func() bool {
		return strings.Contains(s.Replica.Do("INFO", "replication"), "master_link_status:up")
	})
	s.Addr = FreeAddr(t)
	_, own, _ := net.SplitHostPort(s.Addr)
	file := filepath.Join(t.TempDir(), "sentinel.conf")
	text := strings.Join([]string{
		"port " + own, "bind 127.0.0.1", "protected-mode no",
		"sentinel monitor main " + host + " " + port + " 1",
		"sentinel down-after-milliseconds main 1000", "sentinel failover-timeout main 3000", "",
	}, "\n")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Sentinel = Start(t, Command{
		Path: Program(t, "redis-server", "redis-server"), Args: []string{file, "--sentinel"}, Ready: ReadyTCP(s.Addr),
	})
	awaitRedis(t, "the Sentinel to know the replica", func() bool {
		return strings.Contains(redisCLI(t, s.Addr, "SENTINEL", "REPLICAS", "main"), s.Replica.Addr)
	})
	return s
}

// Failover asks the Sentinel to make the replica the master.
func (s *RedisSentinel) Failover() {
	s.Master.t.Helper()
	redisCLI(s.Master.t, s.Addr, "SENTINEL", "FAILOVER", "main")
}

// URL is redis+sentinel://host:port/main.
func (s *RedisSentinel) URL() string { return "redis+sentinel://" + s.Addr + "/main" }
