package load

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

// short is a plan for tests.
func short(change func(*Plan)) Plan {
	p := Plan{Clients: 20, Window: 2, Duration: 300 * time.Millisecond, WarmUp: 20 * time.Millisecond}
	change(&p)
	return p
}

func within(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

func TestModes(t *testing.T) {
	sio := greenroom(t, func(o *socketio.Options) { o.Engine.PerMessageDeflate = &engineio.Deflate{Threshold: 1} })
	for _, c := range []struct {
		name, protocol string
		plan           Plan
	}{
		{"fanout", EIO4, short(func(p *Plan) {})},
		{"paced", EIO4, short(func(p *Plan) { p.Rate = 200 })},
		{"rooms", EIO4, short(func(p *Plan) { p.Rooms = 7 })},
		{"paced rooms", EIO4, short(func(p *Plan) { p.Rooms = 20; p.Rate = 300 })},
		{"large", EIO4, short(func(p *Plan) { p.Size = 200_000; p.Window = 1 })},
		{"deflate", EIO4, short(func(p *Plan) { p.Deflate = true; p.Size = 3000 })},
		{"echo", EIO4, short(func(p *Plan) { p.Mode = Echo })},
		{"paced echo", EIO4, short(func(p *Plan) { p.Mode = Echo; p.Rate = 300 })},
		{"idle", EIO4, short(func(p *Plan) { p.Mode = Idle })},
		{"connect", EIO4, short(func(p *Plan) { p.Mode = Connect; p.Clients = 4 })},
		{"paced connect", EIO4, short(func(p *Plan) { p.Mode = Connect; p.Clients = 4; p.Rate = 50 })},
		{"polling fanout", EIO4, short(func(p *Plan) { p.Transport = Polling })},
		{"paced polling", EIO4, short(func(p *Plan) { p.Transport = Polling; p.Rate = 50 })},
		{"polling echo", EIO4, short(func(p *Plan) { p.Transport = Polling; p.Mode = Echo })},
		{"polling idle", EIO4, short(func(p *Plan) { p.Transport = Polling; p.Mode = Idle })},
		{"polling connect", EIO4, short(func(p *Plan) { p.Transport = Polling; p.Mode = Connect; p.Clients = 4 })},
		{"fanout of EIO3", EIO3, short(func(p *Plan) {})},
		{"echo of EIO3", EIO3, short(func(p *Plan) { p.Mode = Echo })},
		{"idle of EIO3", EIO3, short(func(p *Plan) { p.Mode = Idle })},
		{"connect of EIO3", EIO3, short(func(p *Plan) { p.Mode = Connect; p.Clients = 4 })},
		{"polling fanout of EIO3", EIO3, short(func(p *Plan) { p.Transport = Polling })},
		{"polling echo of EIO3", EIO3, short(func(p *Plan) { p.Transport = Polling; p.Mode = Echo })},
		{"polling idle of EIO3", EIO3, short(func(p *Plan) { p.Transport = Polling; p.Mode = Idle })},
		{"polling connect of EIO3", EIO3, short(func(p *Plan) { p.Transport = Polling; p.Mode = Connect; p.Clients = 4 })},
		{"fanout of Centrifuge", Centrifuge, short(func(p *Plan) {})},
		{"paced Centrifuge", Centrifuge, short(func(p *Plan) { p.Rate = 200; p.Rooms = 1 })},
		{"echo of Centrifuge", Centrifuge, short(func(p *Plan) { p.Mode = Echo })},
		{"idle Centrifuge", Centrifuge, short(func(p *Plan) { p.Mode = Idle })},
		{"connect of Centrifuge", Centrifuge, short(func(p *Plan) { p.Mode = Connect; p.Clients = 4 })},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			addr := sio
			if c.protocol == Centrifuge {
				addr = newLiar(t, nil) // of its own: it knows one channel
			}
			samples := 0
			c.plan.Progress = func(Sample) { samples++ }
			r, err := Run(within(t), c.plan, Peer{Addr: addr, Protocol: c.protocol})
			for err == nil && r.Count == 0 && c.plan.Mode != Idle && c.plan.Duration < 10*time.Second { // a slow machine
				c.plan.Duration *= 5
				r, err = Run(within(t), c.plan, Peer{Addr: addr, Protocol: c.protocol})
			}
			if err != nil {
				t.Fatal(err)
			}
			if r.Seconds < .3 || r.Interrupted || len(r.Series) == 0 || samples < len(r.Series) {
				t.Errorf("%.3f s, interrupted %v, %d samples, %d shown", r.Seconds, r.Interrupted, len(r.Series), samples)
			}
			if c.plan.Mode == Idle {
				return
			}
			if r.Count == 0 || r.PerSecond <= 0 || r.Latency.P50 > r.Latency.Max || r.Latency.Max <= 0 || r.OwnMicros <= 0 {
				t.Errorf("%d counted, %g a second, own %g µs, latency %+v", r.Count, r.PerSecond, r.OwnMicros, r.Latency)
			}
		})
	}
}

// Messages are compressed, and we have read what was in them: they have numbers.
func TestDeflateIsUsed(t *testing.T) {
	for _, on := range []bool{true, false} {
		addr := greenroom(t, func(o *socketio.Options) {
			if on {
				o.Engine.PerMessageDeflate = &engineio.Deflate{Threshold: 1}
			}
		})
		r, err := newRun(short(func(p *Plan) { p.Deflate = true; p.Size = 3000; p.Rate = 50 }), Peer{Addr: addr})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := r.run(within(t)); err != nil {
			t.Fatal(err)
		}
		if (r.inflated > 0) != on {
			t.Errorf("compression %v: %d messages inflated", on, r.inflated)
		}
	}
}

// Every kind of lie is found, and counted.
func TestLiars(t *testing.T) {
	t.Parallel()
	tell := func(push string) []string { return []string{push} }
	for _, c := range []struct {
		name string
		lie  func() lie
		want Faults
	}{
		{"drops", func() lie {
			return func(m, n int, push string) []string {
				if m == 3 && (n == 5 || n == 6) {
					return nil
				}
				return tell(push)
			}
		}, Faults{Missing: 2}},
		{"repeats", func() lie {
			return func(m, n int, push string) []string {
				if m == 1 && n == 4 {
					return []string{push, push, push}
				}
				return tell(push)
			}
		}, Faults{Duplicated: 2}},
		{"swaps", func() lie {
			var held string
			return func(m, n int, push string) []string {
				switch {
				case m == 2 && n == 3:
					held = push
					return nil
				case m == 2 && n == 4:
					return []string{push, held}
				}
				return tell(push)
			}
		}, Faults{Misordered: 1}},
		{"repeats later", func() lie {
			var held string
			return func(m, n int, push string) []string {
				switch {
				case m == 2 && n == 3:
					held = push
				case m == 2 && n == 9:
					return []string{held, push}
				}
				return tell(push)
			}
		}, Faults{Duplicated: 1}},
		{"makes up", func() lie {
			return func(m, n int, push string) []string {
				if m == 0 && n == 2 {
					return []string{push, strings.Replace(push, `"data":"0000`, `"data":"ffff`, 1)}
				}
				return tell(push)
			}
		}, Faults{Stray: 1}},
		{"mistakes the room", func() lie {
			return func(m, n int, push string) []string {
				if m == 0 && n == 2 {
					return []string{push, strings.Replace(push, `00000000x`, `00000001x`, 1)}
				}
				return tell(push)
			}
		}, Faults{Stray: 1}},
		{"garbles", func() lie {
			return func(m, n int, push string) []string {
				if m == 0 && n == 2 {
					return []string{push, strings.Replace(push, `"data":"`, `"data":"!`, 1)}
				}
				return tell(push)
			}
		}, Faults{Stray: 1}},
	} {
		for _, rate := range []float64{0, 100} {
			if c.name == "makes up" && rate == 0 {
				continue // as fast as it can it may get to the number that is made up
			}
			t.Run(fmt.Sprintf("%s at %g", c.name, rate), func(t *testing.T) {
				t.Parallel()
				plan := short(func(p *Plan) { p.Clients = 5; p.Window = 4; p.Rate = rate; p.Duration = time.Second })
				r, err := Run(within(t), plan, Peer{Addr: newLiar(t, c.lie()), Protocol: Centrifuge})
				var wrong *FaultError
				if !errors.As(err, &wrong) || wrong.Faults != c.want || r.Faults != c.want || r.Count == 0 {
					t.Errorf("%v, want %s", err, c.want)
				}
			})
		}
	}
}

// A server that stops delivering ends the run.
func TestStall(t *testing.T) {
	t.Parallel()
	addr := newLiar(t, func(_, n int, push string) []string {
		if n > 20 {
			return nil
		}
		return []string{push}
	})
	r, err := Run(within(t), short(func(p *Plan) { p.Duration = time.Hour; p.WarmUp = -1 }), Peer{Addr: addr, Protocol: Centrifuge})
	if !errors.As(err, new(*stallError)) || !errors.As(err, new(*FaultError)) || r.Faults.Missing != 40 {
		t.Errorf("%v, %+v", err, r.Faults)
	}
}

// A late delivery counts from when its message was due, not from when the generator got to send it.
func TestNoCoordinatedOmission(t *testing.T) {
	const pause = 400 * time.Millisecond
	addr := newLiar(t, func(m, n int, push string) []string {
		if m == 0 && n == 20 {
			time.Sleep(pause) // the server stands still
		}
		return []string{push}
	})
	r, err := Run(within(t), short(func(p *Plan) { p.Clients = 2; p.Rate = 200; p.Duration = time.Second }), Peer{Addr: addr, Protocol: Centrifuge})
	if err != nil {
		t.Fatal(err)
	}
	// 80 of the 200 messages or so were due meanwhile, 40 of them 200 ms or more before its end.
	slow := time.Duration(r.Latency.P90) * time.Microsecond
	if slow < pause/4 {
		t.Errorf("the slowest tenth waited %s at least, although the server paused for %s", slow, pause)
	}
}

// The same at the end: what was due in the measurement and arrives behind it has been waited for as well.
func TestNoCoordinatedOmissionAtTheEnd(t *testing.T) {
	t.Parallel()
	const pause = 1500 * time.Millisecond
	addr := newLiar(t, func(m, n int, push string) []string {
		if m == 0 && n == 20 {
			time.Sleep(pause) // beyond the end of the measurement
		}
		return []string{push}
	})
	r, err := Run(within(t), short(func(p *Plan) {
		p.Clients, p.Rate, p.WarmUp, p.Duration = 2, 100, -1, time.Second
	}), Peer{Addr: addr, Protocol: Centrifuge})
	if err != nil {
		t.Fatal(err)
	}
	if slow := time.Duration(r.Latency.P90) * time.Microsecond; slow < pause/2 {
		t.Errorf("the slowest tenth waited %s at least, although the server paused for %s", slow, pause)
	}
	if most := r.Latency.Max; most < (pause / 2).Microseconds() {
		t.Errorf("the slowest waited %d µs", most)
	}
}

// Before anything is measured there is no result to believe.
func TestInterruptedWhileWarmingUp(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(within(t))
	addr := newLiar(t, func(_, n int, push string) []string {
		if n == 10 {
			cancel()
		}
		return []string{push}
	})
	defer cancel()
	r, err := Run(ctx, short(func(p *Plan) { p.WarmUp = time.Hour }), Peer{Addr: addr, Protocol: Centrifuge})
	if !errors.Is(err, errInterrupted) || r.Seconds > 0 {
		t.Errorf("%v after %g s", err, r.Seconds)
	}
}

func TestInterrupted(t *testing.T) {
	t.Parallel()
	addr := greenroom(t, nil)
	for _, mode := range []string{Fanout, Echo, Idle, Connect} {
		ctx, cancel := context.WithCancel(within(t))
		p := Plan{Mode: mode, Clients: 5, Duration: time.Hour, Progress: func(s Sample) {
			if s.Phase == "" {
				cancel()
			}
		}}
		r, err := Run(ctx, p, Peer{Addr: addr})
		if err != nil || !r.Interrupted || r.Seconds <= 0 || r.Seconds > 30 || (r.Count == 0) != (mode == Idle) {
			t.Errorf("%s: %v, interrupted %v after %g s, %d counted", mode, err, r.Interrupted, r.Seconds, r.Count)
		}
		cancel()
	}
}
