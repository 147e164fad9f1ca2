package load

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"
)

// Protocols of a [Peer].
const (
	EIO4       = "eio4"       // Socket.IO 3 and 4
	EIO3       = "eio3"       // Socket.IO 2
	Relay      = "relay"      // EIO4 to Greenroom's own session handler: publish instead of pub
	Centrifuge = "centrifuge" // Centrifuge's JSON protocol
)

// A Peer is a server to measure: one that [Run] starts and stops, or one that runs already.
type Peer struct {
	Name     string // for reports
	Protocol string // EIO4 if empty

	// Command starts the server; {port} in it becomes a free port of 127.0.0.1. There is no shell, so that the process
	// that is started is the one that is measured, together with those that it forks.
	Command []string
	Dir     string   // where to start it
	Env     []string // beside those of this process

	// Addr, host:port, is for a server that runs already, and PID its process, to read its processor time and memory;
	// 0 if they are not to be known.
	Addr string
	PID  int

	// Path of the endpoint; the protocol's usual one if empty.
	Path string
}

// startWithin is how long a server may take until it listens, stopWithin until it has ended.
const (
	startWithin = 20 * time.Second
	stopWithin  = 5 * time.Second
)

// start runs the peer on a free port and waits until it accepts connections. It fills in Addr and PID.
func (p *Peer) start(ctx context.Context) (stop func(), err error) {
	if len(p.Command) == 0 {
		return func() {}, nil
	}
	addr, err := freeAddr()
	if err != nil {
		return nil, err
	}
	p.Addr = addr
	_, port, _ := net.SplitHostPort(addr) // an address of our own making
	args := make([]string, len(p.Command))
	for i, a := range p.Command {
		args[i] = strings.ReplaceAll(a, "{port}", port)
	}
	said := &tail{}
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Dir = p.Dir
	cmd.Env = append(os.Environ(), p.Env...)
	cmd.Stdout, cmd.Stderr = said, said
	alone(cmd)
	cmd.WaitDelay = stopWithin // a child that outlives it must not hold us by its output
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", p.Name, err)
	}
	p.PID = cmd.Process.Pid
	ended := make(chan struct{})
	go func() {
		_ = cmd.Wait() // how it ended does not matter; that it ended does
		close(ended)
	}()
	stop = func() {
		terminate(cmd.Process)
		select {
		case <-ended:
		case <-time.After(stopWithin):
			kill(cmd.Process)
			<-ended
		}
	}
	if err := p.await(ctx, ended); err != nil {
		stop()
		return nil, fmt.Errorf("%s %w: %s", p.Name, err, said)
	}
	return stop, nil
}

// await returns when the peer accepts connections.
func (p *Peer) await(ctx context.Context, ended <-chan struct{}) error {
	ctx, cancel := context.WithTimeoutCause(ctx, startWithin, fmt.Errorf("does not listen on %s after %s", p.Addr, startWithin))
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		if c, err := new(net.Dialer).DialContext(ctx, "tcp", p.Addr); err == nil {
			return c.Close()
		}
		select {
		case <-tick.C:
		case <-ended:
			return errors.New("ended before it listened")
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
}

func freeAddr() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// tail keeps the last of what a server printed.
type tail struct {
	mu   sync.Mutex
	text []byte
}

const tailBytes = 4 << 10

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.text = append(t.text, p...)
	if over := len(t.text) - tailBytes; over > 0 {
		t.text = append(t.text[:0], t.text[over:]...)
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(bytes.TrimSpace(t.text))
}
