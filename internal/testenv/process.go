package testenv

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// Command describes a process for [Start].
type Command struct {
	Path string
	Args []string
	Dir  string   // default: the test's own
	Env  []string // "NAME=value", on top of the test's environment
	// Stdin is the process's input, as in [exec.Cmd]. Default: none.
	Stdin io.Reader
	// Ready waits until the process can be used, or fails; see [ReadyTCP], [ReadyHTTP], [ReadyOutput].
	// nil: ready as soon as it runs. Its context ends with the process or after ReadyWithin.
	Ready       func(ctx context.Context, p *Process) error
	ReadyWithin time.Duration // default 1 min
	StopWithin  time.Duration // from SIGTERM until SIGKILL, default 10 s
}

// Process is a running child of the test. Its methods may be called from any goroutine.
type Process struct {
	t    testing.TB
	cmd  *exec.Cmd
	out  *output
	done chan struct{} // closed when the process has been waited for
	err  error         // of Wait; read after done
	stop time.Duration
}

// Start runs the command, waits until it is ready, and stops it when the test ends. A process that
// does not start or become ready fails the test, with what it printed.
func Start(t testing.TB, c Command) *Process {
	t.Helper()
	cmd := exec.Command(c.Path, c.Args...)
	cmd.Dir = c.Dir
	cmd.Env = append(os.Environ(), c.Env...)
	p := &Process{t: t, cmd: cmd, out: newOutput(), done: make(chan struct{}), stop: c.StopWithin}
	if p.stop == 0 {
		p.stop = 10 * time.Second
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.Stdin, p.out, p.out
	cmd.WaitDelay = 10 * time.Second // a grandchild that keeps the pipe open must not keep us
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", c.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		p.out.end()
		close(p.done)
	}()
	t.Cleanup(func() { _ = p.Stop() }) // a test that cares about the exit status calls Stop itself

	if c.Ready == nil {
		return p
	}
	within := c.ReadyWithin
	if within == 0 {
		within = time.Minute
	}
	ctx, cancel := context.WithTimeout(context.Background(), within)
	defer cancel()
	stop := p.cancelWhenDone(cancel)
	err := c.Ready(ctx, p)
	stop()
	if err != nil {
		_ = p.Stop()
		t.Fatalf("%s did not become ready: %v\n%s", c.Path, err, p.Output())
	}
	return p
}

// cancelWhenDone ends the readiness wait as soon as the process is gone. The returned func ends the watch.
func (p *Process) cancelWhenDone(cancel context.CancelFunc) (stop func()) {
	quit := make(chan struct{})
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		select {
		case <-p.done:
			cancel()
		case <-quit:
		}
	}()
	return func() {
		close(quit)
		<-gone
	}
}

// Pid is the process's id.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Output is what the process has written to both of its outputs so far.
func (p *Process) Output() string { return p.out.String() }

// Done is closed when the process has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Signal sends a signal to the process, and to no other.
func (p *Process) Signal(sig os.Signal) error { return p.cmd.Process.Signal(sig) }

// Stop asks the process to end (SIGTERM), ends it after StopWithin (SIGKILL), and waits. The error is
// that of exec.Cmd.Wait: nil for exit status 0. Calling it again returns the same.
func (p *Process) Stop() error {
	_ = p.Signal(syscall.SIGTERM) // fails only when it has ended already
	timer := time.NewTimer(p.stop)
	defer timer.Stop()
	select {
	case <-p.done:
	case <-timer.C:
		p.t.Logf("%s ignored SIGTERM for %s and was killed", p.cmd.Path, p.stop)
		_ = p.Signal(syscall.SIGKILL)
		<-p.done
	}
	return p.err
}

// Kill ends the process at once, as a crash would, and waits.
func (p *Process) Kill() {
	_ = p.Signal(syscall.SIGKILL)
	<-p.done
}

// WaitOutput waits until the process has printed text.
func (p *Process) WaitOutput(ctx context.Context, text string) error {
	for {
		found, more := p.out.contains(text)
		if found {
			return nil
		}
		select {
		case <-more:
		case <-p.done:
			if found, _ := p.out.contains(text); found {
				return nil
			}
			return fmt.Errorf("ended without printing %q", text)
		case <-ctx.Done():
			return fmt.Errorf("waiting for %q in its output: %w", text, ctx.Err())
		}
	}
}

// ReadyOutput is ready when the process has printed text.
func ReadyOutput(text string) func(context.Context, *Process) error {
	return func(ctx context.Context, p *Process) error { return p.WaitOutput(ctx, text) }
}

// ReadyTCP is ready when every address accepts a connection.
func ReadyTCP(addrs ...string) func(context.Context, *Process) error {
	return func(ctx context.Context, p *Process) error {
		for _, addr := range addrs {
			err := poll(ctx, func() error {
				var d net.Dialer
				c, err := d.DialContext(ctx, "tcp", addr)
				if err != nil {
					return err
				}
				return c.Close()
			})
			if err != nil {
				return fmt.Errorf("connecting to %s: %w", addr, err)
			}
		}
		return nil
	}
}

// ReadyHTTP is ready when the URL answers with status 200.
func ReadyHTTP(url string) func(context.Context, *Process) error {
	return func(ctx context.Context, p *Process) error {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
		return poll(ctx, func() error {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
			if err != nil {
				return err
			}
			res, err := client.Do(req)
			if err != nil {
				return err
			}
			_, _ = io.Copy(io.Discard, res.Body)
			_ = res.Body.Close()
			if res.StatusCode != http.StatusOK {
				return fmt.Errorf("%s answers %s", url, res.Status)
			}
			return nil
		})
	}
}

// poll tries until it works: another process's state can only be asked for, not awaited.
func poll(ctx context.Context, try func() error) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.Join(ctx.Err(), err)
		case <-tick.C:
		}
	}
}

// mostOutput bytes of a process's output are kept: its beginning, where readiness is told.
const mostOutput = 4 << 20

// output collects what a process prints and wakes those who wait for more.
type output struct {
	mu   sync.Mutex
	buf  bytes.Buffer
	more chan struct{}
}

func newOutput() *output { return &output{more: make(chan struct{})} }

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.buf.Len() < mostOutput {
		o.buf.Write(p)
	}
	close(o.more)
	o.more = make(chan struct{})
	return len(p), nil
}

func (o *output) end() { _, _ = o.Write(nil) }

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func (o *output) contains(text string) (found bool, more <-chan struct{}) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return strings.Contains(o.buf.String(), text), o.more
}
