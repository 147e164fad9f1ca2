package testenv

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

// The test binary is also the child process: no other program is needed.
func TestMain(m *testing.M) {
	switch os.Getenv("TESTENV_CHILD") {
	case "":
		goleak.VerifyTestMain(m)
	case "listen":
		child(true)
	case "stubborn":
		child(false)
	case "fail":
		fmt.Println("no such option")
		os.Exit(3)
	}
}

// child listens, says so, and ends at SIGTERM if it is polite.
func child(polite bool) {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGTERM)
	l, err := net.Listen("tcp", os.Getenv("TESTENV_ADDR"))
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready at", l.Addr())
	for range signals {
		if polite {
			fmt.Println("bye")
			os.Exit(0)
		}
	}
}

func command(kind, addr string) Command {
	return Command{Path: os.Args[0], Env: []string{"TESTENV_CHILD=" + kind, "TESTENV_ADDR=" + addr}}
}

// fatal runs fn as a test would and returns what it failed with.
func fatal(t *testing.T, fn func(testing.TB)) string {
	t.Helper()
	return recorded(t, fn).failure
}

// recorded runs fn as a test would.
func recorded(t *testing.T, fn func(testing.TB)) *recorder {
	t.Helper()
	r := &recorder{TB: t}
	done := make(chan struct{})
	go func() {
		defer close(done)
		fn(r)
	}()
	<-done
	for i := len(r.cleanups) - 1; i >= 0; i-- {
		r.cleanups[i]()
	}
	return r
}

func TestStartAndStop(t *testing.T) {
	addr := FreeAddr(t)
	c := command("listen", addr)
	c.Ready = ReadyTCP(addr)
	p := Start(t, c)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	if err := p.WaitOutput(ctx, "ready at "+addr); err != nil {
		t.Fatal(err)
	}
	process, err := os.FindProcess(p.Pid())
	if err != nil {
		t.Fatal(err)
	}
	if err := process.Signal(syscall.Signal(0)); err != nil {
		t.Fatalf("the process is not there: %v", err)
	}
	if err := p.Stop(); err != nil {
		t.Errorf("exit status: %v", err)
	}
	if !strings.HasSuffix(p.Output(), "bye\n") {
		t.Errorf("output: %q", p.Output())
	}
	if err := p.Stop(); err != nil {
		t.Errorf("stopping again: %v", err)
	}
}

func TestStopKillsTheStubborn(t *testing.T) {
	c := command("stubborn", FreeAddr(t))
	c.Ready, c.StopWithin = ReadyOutput("ready"), 50*time.Millisecond
	p := Start(t, c)
	if err := p.Stop(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("exit status: %v", err)
	}
}

func TestKill(t *testing.T) {
	c := command("listen", FreeAddr(t))
	c.Ready = ReadyOutput("ready")
	p := Start(t, c)
	p.Kill()
	select {
	case <-p.Done():
	default:
		t.Error("killed, but not done")
	}
}

func TestNotReadyFailsWithWhatItSaid(t *testing.T) {
	for name, ready := range map[string]func(context.Context, *Process) error{
		"output": ReadyOutput("ready"),
		"tcp":    ReadyTCP(FreeAddr(t)),
		"http":   ReadyHTTP("http://" + FreeAddr(t) + "/healthz"),
	} {
		t.Run(name, func(t *testing.T) {
			got := fatal(t, func(tb testing.TB) {
				c := command("fail", "")
				c.Ready = ready
				Start(tb, c)
			})
			if !strings.Contains(got, "did not become ready") || !strings.Contains(got, "no such option") {
				t.Errorf("failed with %q", got)
			}
		})
	}
}

func TestStartOfNothing(t *testing.T) {
	got := fatal(t, func(tb testing.TB) { Start(tb, Command{Path: "/no/such/program"}) })
	if !strings.Contains(got, "/no/such/program") {
		t.Errorf("failed with %q", got)
	}
}

func TestFreePortsDiffer(t *testing.T) {
	seen := map[int]bool{}
	for range 50 {
		p := FreePort(t)
		if seen[p] {
			t.Fatalf("%d twice", p)
		}
		seen[p] = true
	}
}
