package zeromq

import (
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// BenchmarkControlRoundTrip: a pyzmq REQ asks the control endpoint, and libzmq's own REP and ROUTER, in turns. It reports
// medians in µs.
func BenchmarkControlRoundTrip(b *testing.B) {
	h := newHub(b, hub.Options{})
	if err := h.Handle("/", hub.Relay(hub.RelayOptions{})); err != nil {
		b.Fatal(err)
	}
	bridge := listen(b, h, Options{Control: anyPort, ControlRate: 1 << 30})
	for b.Loop() {
		out, err := exec.Command(testenv.Python(b, "zmq"), "testdata/rtt.py", bridge.Addr("control"), "20000").CombinedOutput()
		var medians map[string]float64
		if err == nil {
			err = json.Unmarshal(out, &medians)
		}
		if err != nil {
			b.Fatalf("%v: %s", err, out)
		}
		for name, us := range medians {
			b.ReportMetric(us, name+"_us")
		}
	}
}

// BenchmarkWorkerEvents: events of 64 sessions, each with the next when the last is acked, through one worker.
func BenchmarkWorkerEvents(b *testing.B) {
	for _, language := range []string{"go", "python"} {
		b.Run(language, func(b *testing.B) {
			h := newHub(b, hub.Options{})
			bridge := listen(b, h, Options{Workers: anyPort})
			if err := h.Handle("/", bridge.Workers().Serve); err != nil {
				b.Fatal(err)
			}
			if language == "python" {
				testenv.Start(b, testenv.Command{Path: testenv.Python(b, "zmq"), Args: []string{"testdata/worker.py", bridge.Addr("workers")}})
			} else {
				w := employ(b, bridge, `"events":["*"],"credit":1000,"heartbeat":0`)
				go func() {
					for {
						msg, err := w.conn.RecvMsg()
						if err != nil {
							return
						}
						var wire []byte
						if string(msg.Frames[0]) == wordEvent {
							wire = append(wire, rawMessage("ACK", string(msg.Frames[1]), `["heard"]`)...)
						}
						if len(wire) > 0 && w.guard.Send(wire) != nil {
							return
						}
					}
				}()
			}
			eventually(b, "the worker", func() bool { return bridge.Workers().Stats().Workers == 1 })
			const sessions = 64
			clients := make([]*browser, sessions)
			for i := range clients {
				clients[i] = comeIn(b, h, "/", "{}")
			}
			var left atomic.Int64
			left.Store(int64(b.N))
			done := make(chan error, sessions)
			b.ResetTimer()
			for _, c := range clients {
				go func() {
					for left.Add(-1) >= 0 {
						c.emit(1, "say", "hello")
						if got := <-c.got; !strings.HasPrefix(got, "ack 1") {
							done <- fmt.Errorf("%s", got)
							return
						}
					}
					done <- nil
				}()
			}
			for range sessions {
				if err := <-done; err != nil {
					b.Error(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
		})
	}
}
