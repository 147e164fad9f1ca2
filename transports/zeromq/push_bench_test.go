package zeromq

import (
	"bufio"
	"fmt"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
)

// BenchmarkPush compares what a libzmq PUSH gets rid of at a libzmq PULL with what it gets rid of here, up to the hub:
// messages [lobby, payload] or one frame of both, two processes, TCP on loopback. Wants gcc and libzmq's headers.
func BenchmarkPush(b *testing.B) {
	bin := libzmqBench(b)
	for _, c := range []struct {
		size, frames int
		layout       Layout
	}{{64, 2, Greenroom}, {64, 1, TextSpace}, {1024, 2, Greenroom}, {1024, 1, TextSpace}} {
		size, name := c.size, fmt.Sprintf("bytes=%d/frames=%d", c.size, c.frames)
		b.Run("libzmq/"+name, func(b *testing.B) {
			pull := exec.Command(bin, "pull", "tcp://127.0.0.1:*", fmt.Sprint(b.N))
			out, err := pull.StdoutPipe()
			if err != nil {
				b.Fatal(err)
			}
			if err := pull.Start(); err != nil {
				b.Fatal(err)
			}
			lines := bufio.NewScanner(out)
			var at string
			var took time.Duration
			for lines.Scan() {
				if at, ok := strings.CutPrefix(lines.Text(), "bound "); ok {
					pushAll(b, bin, at, size, c.frames)
				}
				_, _ = fmt.Sscanf(lines.Text(), "took %d", &took)
			}
			if err := pull.Wait(); err != nil {
				b.Fatal(err, at)
			}
			perSecond(b, took)
		})
		b.Run("greenroom/"+name, func(b *testing.B) {
			h := &benchHub{want: b.N, done: make(chan struct{})}
			bridge := listen(b, h, Options{Pull: anyPort, PullFormat: Format{Layout: c.layout}})
			pushAll(b, bin, bridge.Addr("pull"), size, c.frames)
			<-h.done
			perSecond(b, h.took)
			b.ReportMetric(float64(h.allocated)/float64(max(b.N-1, 1)), "allocs/msg")
		})
	}
}

func pushAll(b *testing.B, bin, at string, size, frames int) {
	b.Helper()
	push := exec.Command(bin, "push", at, fmt.Sprint(size), fmt.Sprint(b.N), fmt.Sprint(frames))
	if err := push.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := push.Wait(); err != nil {
			b.Error(err)
		}
	})
}

func perSecond(b *testing.B, took time.Duration) {
	b.ReportMetric(float64(b.N)/max(took, 1).Seconds(), "msg/s")
	b.ReportMetric(0, "ns/op") // of starting processes
}

// libzmqBench compiles testdata/bench.c.
func libzmqBench(b *testing.B) string {
	b.Helper()
	bin := filepath.Join(b.TempDir(), "bench")
	if out, err := exec.Command("gcc", "-O2", "-o", bin, "testdata/bench.c", "-lzmq").CombinedOutput(); err != nil {
		b.Skipf("no gcc with libzmq's headers (libzmq3-dev): %v %.300s", err, out)
	}
	return bin
}

// benchHub counts what one connection publishes.
type benchHub struct {
	want, n   int
	began     time.Time
	took      time.Duration
	allocated uint64 // by the process, in that time
	done      chan struct{}
}

func (h *benchHub) Publish(hub.Publication) (string, error) {
	if h.n++; h.n == 1 {
		h.allocated = mallocs()
		h.began = time.Now()
	}
	if h.n == h.want {
		h.took = time.Since(h.began)
		h.allocated = mallocs() - h.allocated
		close(h.done)
	}
	return "", nil
}

func mallocs() uint64 {
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.Mallocs
}

func (h *benchHub) Tap(func(*hub.Message)) (cancel func()) { return func() {} }
func (h *benchHub) Count(string)                           {}
func (h *benchHub) Saturated() bool                        { return false }
