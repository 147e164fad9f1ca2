package coophttp_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// mall serves HTTP in a world: clients that keep connections, give up, are killed or stall, a server
// that is stopped with requests in flight. It returns what happened.
func mall(seed uint64, trace *coop.Trace) (log []string, err error) {
	o := coop.SimOptions{Seed: seed, Shuffle: seed%2 == 1, Loop: coop.LoopOptions{Trace: trace}}
	err = coop.Simulate(o, func(g *coop.Greenlet, w *coop.World) error {
		say := func(format string, args ...any) {
			log = append(log, fmt.Sprintf(format, args...)+" at "+w.Time().Format(time.TimeOnly+".000000"))
		}
		ln, err := w.Listen("mall:80")
		if err != nil {
			return err
		}
		s := &coophttp.Server{
			IdleTimeout: 3 * time.Second,
			Log:         func(a coophttp.Access) { say("%s %d took %v", a.Request.URL.Path, a.Status, a.Took) },
			Handler: http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
				g := coophttp.Greenlet(r)
				n, err := io.Copy(io.Discard, r.Body)
				if err != nil || g.Sleep(time.Duration(w.Rand().IntN(300))*time.Millisecond) != nil {
					return
				}
				fmt.Fprint(rw, strings.Repeat("x", int(n)/2))
			}),
		}
		server := g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		transport := &coophttp.Transport{Loop: g.Loop(), MaxPerHost: 3, IdleTimeout: 2 * time.Second, Dial: w.Dial}
		client := &http.Client{Transport: transport}
		var clients []*coop.Greenlet
		for i := range 6 {
			clients = append(clients, g.Spawn(func(g *coop.Greenlet) error {
				for n := range 4 {
					body := strings.NewReader(strings.Repeat("y", w.Rand().IntN(50_000)))
					r, err := http.NewRequestWithContext(g, "POST", fmt.Sprintf("http://mall/%d/%d", i, n), body)
					if err != nil {
						return err
					}
					size := body.Len()
					err = g.WithTimeout(200*time.Millisecond, func() error {
						resp, err := client.Do(r)
						if err != nil {
							return err
						}
						defer resp.Body.Close()
						say("%d/%d got %s", i, n, resp.Header.Get("Date"))
						b, err := io.ReadAll(resp.Body)
						if err == nil && len(b) != size/2 {
							return fmt.Errorf("%d bytes for %d", len(b), size)
						}
						return err
					})
					say("%d/%d: %v", i, n, err)
					if err != nil && !errors.Is(err, coop.ErrTimeout) {
						return err
					}
				}
				return nil
			}))
		}
		clients[5].SetName("victim")
		g.SpawnLater(250*time.Millisecond, func(*coop.Greenlet) error { clients[5].Kill(); return nil })
		if err := coop.JoinAll(g, clients...); err != nil {
			return err
		}
		if w.Time().Year() != 2000 {
			say("the clock jumped")
		}
		// One that says nothing is shown the door in time.
		c, err := w.Dial(g, "mall:80")
		if err != nil {
			return err
		}
		before := w.Time()
		if _, err := c.Read(make([]byte, 1)); err != io.EOF || w.Time().Sub(before).Round(time.Second) != 3*time.Second {
			return fmt.Errorf("idling ended with %v after %v", err, w.Time().Sub(before))
		}
		straggler := g.Spawn(func(g *coop.Greenlet) error {
			resp, err := client.Get("http://mall/last")
			if err == nil {
				resp.Body.Close()
			}
			return err
		})
		if err := g.Sleep(20 * time.Millisecond); err != nil {
			return err
		}
		if err := s.Stop(g); err != nil {
			return err
		}
		return errors.Join(straggler.Join(g), server.Join(g))
	})
	return log, err
}

// The same seed tells the same story, timeouts, dates and all; and none takes longer than the world's time says.
func TestHTTPInAWorldIsReproducible(t *testing.T) {
	different := map[string]bool{}
	for seed := range uint64(20) {
		var traces [2]*coop.Trace
		var logs [2][]string
		for i := range traces {
			traces[i] = coop.NewTrace(coop.TraceOptions{})
			var err error
			if logs[i], err = mall(seed, traces[i]); err != nil {
				t.Fatalf("seed %d: %v\n%s", seed, err, strings.Join(logs[i], "\n"))
			}
		}
		if !slices.Equal(logs[0], logs[1]) {
			t.Fatalf("seed %d: two stories\n%s\n\n%s", seed, strings.Join(logs[0], "\n"), strings.Join(logs[1], "\n"))
		}
		a, b := traces[0].Events(), traces[1].Events()
		if len(a) < 100 || !slices.Equal(a, b) {
			t.Fatalf("seed %d: two traces, of %d and %d events", seed, len(a), len(b))
		}
		story := strings.Join(logs[0], "\n")
		if !strings.Contains(story, "1 Jan 2000") && !strings.Contains(story, "01 Jan 2000") {
			t.Fatalf("seed %d: no date of the world in\n%s", seed, story)
		}
		if strings.Contains(story, "jumped") {
			t.Fatalf("seed %d:\n%s", seed, story)
		}
		different[story] = true
	}
	if len(different) < 15 {
		t.Errorf("twenty seeds tell %d stories", len(different))
	}
}

// What Await does in a world holds for Blocking: the handler runs in place, and may read and write as ever.
func TestBlockingInAWorld(t *testing.T) {
	hang := time.AfterFunc(30*time.Second, func() { panic("test hangs") })
	defer hang.Stop()
	err := coop.Simulate(coop.SimOptions{Seed: 1}, func(g *coop.Greenlet, w *coop.World) error {
		ln, err := w.Listen("mall:80")
		if err != nil {
			return err
		}
		s := &coophttp.Server{Handler: coophttp.Blocking(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			for range 10 {
				rw.Write(b)
				rw.(http.Flusher).Flush()
			}
		}))}
		server := g.Spawn(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		client := &http.Client{Transport: &coophttp.Transport{Loop: g.Loop(), Dial: w.Dial}}
		resp, err := client.Post("http://mall/", "text/plain", strings.NewReader(strings.Repeat("y", 50_000)))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); len(b) != 500_000 || err != nil {
			t.Errorf("%d bytes, %v", len(b), err)
		}
		return errors.Join(s.Stop(g), server.Join(g))
	})
	if err != nil {
		t.Fatal(err)
	}
}
