//go:build linux

package main

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// peer is a server to measure: one that we start, or one that runs already.
type peer struct {
	name    string
	command []string // with {port}; empty: runs already
	dialect dialect
	addr    string
	pid     int
}

// dialect is how a peer's events are called. %s is the room; the text of the message follows prefix.
type dialect struct {
	join, prefix, suffix string
}

var dialects = map[string]dialect{
	"pub":   {join: `420["join","%s"]`, prefix: `42["pub","%s","`, suffix: `"]`},
	"relay": {join: `420["join","%s"]`, prefix: `42["publish","%s","msg","`, suffix: `",{"echo":true}]`},
}

// parsePeer reads name[+dialect]=command. The command is split at spaces: there is no shell, so that the
// process that we start is the one that we measure.
func parsePeer(s string) (peer, error) {
	name, command, ok := strings.Cut(s, "=")
	if !ok || name == "" || !strings.Contains(command, "{port}") {
		return peer{}, fmt.Errorf("want name=command with {port}, not %q", s)
	}
	kind := "pub"
	if base, after, ok := strings.Cut(name, "+"); ok && base != "" {
		kind = after
	}
	d, ok := dialects[kind]
	if !ok {
		return peer{}, fmt.Errorf("no such dialect: %q", kind)
	}
	return peer{name: name, command: strings.Fields(command), dialect: d}, nil
}

// start runs the peer on a free port and waits until it accepts connections.
func (p *peer) start() (stop func(), err error) {
	if len(p.command) == 0 {
		return func() {}, nil
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	p.addr = l.Addr().String()
	_, port, _ := net.SplitHostPort(p.addr) // an address of our own making
	_ = l.Close()

	args := make([]string, len(p.command))
	for i, a := range p.command {
		args[i] = strings.ReplaceAll(a, "{port}", port)
	}
	var said bytes.Buffer
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended does not matter; that it ended does
		close(ended)
	}()
	p.pid = cmd.Process.Pid
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(5 * time.Second):
			_ = cmd.Process.Kill()
			<-ended
		}
	}
	deadline := time.After(20 * time.Second)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := net.Dial("tcp", p.addr); err == nil {
			_ = c.Close()
			return stop, nil
		}
		select {
		case <-tick.C:
		case <-ended:
			return nil, fmt.Errorf("ended before it listened: %s", strings.TrimSpace(said.String()))
		case <-deadline:
			stop()
			return nil, fmt.Errorf("does not listen on %s after 20 s: %s", p.addr, strings.TrimSpace(said.String()))
		}
	}
}

// usage is what /proc says about a process.
type usage struct {
	cpu time.Duration // user and system, all threads
	rss int64         // bytes resident
}

// ticksPerSecond is USER_HZ, which Linux has fixed at 100 towards user space.
const ticksPerSecond = 100

// usageOf reads /proc/PID/stat and status (proc(5)). pid 0: nothing is known.
func usageOf(pid int) (usage, error) {
	if pid == 0 {
		return usage{}, nil
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return usage{}, fmt.Errorf("the server's process is gone: %w", err)
	}
	// The name, in parentheses, may hold anything; field 3 follows the last parenthesis.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return usage{}, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err1 != nil || err2 != nil {
		return usage{}, fmt.Errorf("/proc/%d/stat is not as expected", pid)
	}
	u := usage{cpu: time.Duration(user+system) * time.Second / ticksPerSecond}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return usage{}, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kb, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				return usage{}, err
			}
			u.rss = kb << 10
		}
	}
	return u, nil
}

// ownCPU is this process's CPU time so far.
func ownCPU() time.Duration {
	var r syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &r) != nil {
		return 0 // cannot fail with these arguments
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
