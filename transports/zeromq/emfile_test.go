//go:build unix

package zeromq

import (
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TestOutOfDescriptors: a process that has none left accepts nobody, keeps those it has, does not spin meanwhile, and
// lets everyone in when there are some again. It is a process of its own, because its limit is lowered.
func TestOutOfDescriptors(t *testing.T) {
	const marker = "GREENROOM_TEST_OUT_OF_DESCRIPTORS"
	if os.Getenv(marker) == "" {
		self, err := os.Executable()
		if err != nil {
			t.Fatal(err)
		}
		cmd := exec.CommandContext(t.Context(), self, "-test.run", "^TestOutOfDescriptors$", "-test.v", "-test.timeout", "5m")
		cmd.Env = append(os.Environ(), marker+"=1")
		if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), "--- PASS") {
			t.Fatalf("%v\n%s", err, out)
		}
		return
	}
	e := newEverything(t, Options{HandshakeTimeout: patience})
	peers := e.b.Peers
	there := map[string]int{"pull": 1, "sub": 0, "pub": 1, "control": 1, "workers": 0}
	for name, n := range there { // ours may have shaken hands before the bridge has
		eventually(t, "ours at "+name, func() bool { return peers(name) == n })
	}
	for _, r := range roles[:5] {
		t.Run(r.name, func(t *testing.T) {
			// What still closes would make room for the guest.
			for name, n := range there {
				eventually(t, "those who have left "+name, func() bool { return peers(name) <= n })
			}
			// One descriptor for a guest, who is there before it is taken in.
			var old syscall.Rlimit
			if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
				t.Fatal(err)
			}
			before := e.counted()[reasonAccept]
			var hoard []*os.File
			free := func() {
				for _, f := range hoard {
					_ = f.Close()
				}
				hoard = nil
				if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &old); err != nil {
					t.Fatal(err)
				}
			}
			defer free()
			now := uint64(openFiles(t)) + 40
			if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &syscall.Rlimit{Cur: now, Max: old.Max}); err != nil {
				t.Fatal(err)
			}
			for {
				f, err := os.Open(os.DevNull)
				if err != nil {
					break
				}
				hoard = append(hoard, f)
			}
			_ = hoard[0].Close()
			hoard = hoard[1:]
			guest := rawVisit(t, e.b.Addr(r.name)) // in the system's queue
			defer guest.Close()
			began, spent := time.Now(), cpuTime(t)
			eventually(t, "failures", func() bool { return e.counted()[reasonAccept] >= before+5 })
			e.sound(t, "meanwhile") // who is there
			took, used := time.Since(began), cpuTime(t)-spent
			if n := e.counted()[reasonAccept] - before; n > 12+int(took/maxAcceptPause) {
				t.Errorf("%d attempts in %v, %v of the processor's time", n, took, used)
			}
			free()
			if _, err := guest.Write(r.hello()); err != nil {
				t.Fatal(err)
			}
			afterHandshake(t, guest, 0)
			e.served(t, "afterwards")
		})
	}
}

// cpuTime is what this process has used.
func cpuTime(t testing.TB) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
