package coophttp_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// origin is net/http's server; it counts connections.
func origin(t *testing.T, h http.HandlerFunc) (url string, conns *atomic.Int32) {
	t.Helper()
	s, conns := httptest.NewUnstartedServer(h), new(atomic.Int32)
	s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			conns.Add(1)
		}
	}
	s.Start()
	t.Cleanup(s.Close)
	return s.URL, conns
}

// inLoop runs fn in a greenlet with a client.
func inLoop(t *testing.T, tr *coophttp.Transport, fn func(g *coop.Greenlet, c *http.Client) error) {
	t.Helper()
	watchdog := time.AfterFunc(2*patience, func() { panic("test hangs: " + t.Name()) })
	defer watchdog.Stop()
	err := coop.Run(func(g *coop.Greenlet) error {
		tr.Loop = g.Loop()
		defer tr.CloseIdleConnections()
		return fn(g, &http.Client{Transport: tr})
	})
	if err != nil {
		t.Fatal(err)
	}
}

func get(c *http.Client, url string) (string, error) {
	resp, err := c.Get(url)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return string(b), err
}

func path(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.Path) }

func TestTransportKeepsConnections(t *testing.T) {
	url, conns := origin(t, path)
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		for i := range 10 {
			want := fmt.Sprint("/", i)
			if got, err := get(c, url+want); got != want || err != nil {
				t.Errorf("%s: %q, %v", want, got, err)
			}
		}
		return nil
	})
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTransportBoundsConnectionsPerHost(t *testing.T) {
	const limit, requests = 3, 30
	var now, most atomic.Int32
	url, conns := origin(t, func(w http.ResponseWriter, r *http.Request) {
		n := now.Add(1)
		defer now.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		time.Sleep(time.Millisecond) // so that they overlap
		path(w, r)
	})
	inLoop(t, &coophttp.Transport{MaxPerHost: limit}, func(g *coop.Greenlet, c *http.Client) error {
		var gs []*coop.Greenlet
		for i := range requests {
			gs = append(gs, g.Spawn(func(g *coop.Greenlet) error {
				if i == 10 {
					return g.WithTimeout(0, func() error { // gives up, and keeps no place
						_, err := get(c, url)
						if !errors.Is(err, coop.ErrTimeout) {
							t.Errorf("timed out: %v", err)
						}
						return nil
					})
				}
				_, err := get(c, url)
				return err
			}))
		}
		return coop.JoinAll(g, gs...)
	})
	if most.Load() > limit || conns.Load() > limit {
		t.Errorf("%d at once over %d connections", most.Load(), conns.Load())
	}
}

// A connection that the server closed while it was idle costs nobody a request.
func TestTransportSurvivesClosedConnections(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(path))
	defer s.Close()
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		for range 20 {
			resp, err := c.Post(s.URL+"/x", "x/y", strings.NewReader("body"))
			if err != nil {
				return err
			}
			io.Copy(io.Discard, resp.Body)
			resp.Body.Close()
			if _, err := coop.Await(g, func() (int, error) { s.CloseClientConnections(); return 0, nil }); err != nil {
				return err
			}
		}
		return nil
	})
}

func TestTransportBodies(t *testing.T) {
	url, _ := origin(t, func(w http.ResponseWriter, r *http.Request) {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		w.Write(b)
	})
	data := bytes.Repeat([]byte("0123456789abcdef"), 1<<18)
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		for name, body := range map[string]io.Reader{
			"length": bytes.NewReader(data), "chunked": io.MultiReader(bytes.NewReader(data)), "empty": http.NoBody,
		} {
			resp, err := c.Post(url, "x/y", body)
			if err != nil {
				return err
			}
			got, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			want := data
			if name == "empty" {
				want = nil
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: %d bytes, %v", name, len(got), err)
			}
		}
		return nil
	})
}

// The server answers before it has read the body, and closes.
func TestTransportTakesEarlyAnswers(t *testing.T) {
	s := serve(t, &coophttp.Server{MaxBodyBytes: 1000})
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		resp, err := c.Post("http://"+s.addr, "x/y", bytes.NewReader(make([]byte, 32<<20)))
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusRequestEntityTooLarge {
			t.Errorf("got %s", resp.Status)
		}
		return nil
	})
}

func TestTransportUsedByGoroutines(t *testing.T) {
	url, conns := origin(t, path)
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		t.Fatal(err)
	}
	l.Start()
	c := &http.Client{Transport: &coophttp.Transport{Loop: l, MaxPerHost: 2}}
	var wg sync.WaitGroup
	for i := range 20 {
		wg.Go(func() {
			want := fmt.Sprint("/", i)
			if got, err := get(c, url+want); got != want || err != nil {
				t.Errorf("%s: %q, %v", want, got, err)
			}
		})
	}
	wg.Wait()
	if n := conns.Load(); n > 2 {
		t.Errorf("%d connections", n)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := get(c, url); !errors.Is(err, coop.ErrClosed) {
		t.Errorf("on a closed loop: %v", err)
	}
}

func TestTransportEndsOfWaiting(t *testing.T) {
	release := make(chan struct{})
	url, _ := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/body" {
			w.Write([]byte("x"))
			w.(http.Flusher).Flush()
		}
		<-release
	})
	defer close(release)
	for _, p := range []string{"/head", "/body"} {
		for name, tc := range map[string]struct {
			tr   coophttp.Transport
			do   func(g *coop.Greenlet, c *http.Client) error
			want error
		}{
			"stalled": {coophttp.Transport{StallTimeout: 20 * time.Millisecond}, func(g *coop.Greenlet, c *http.Client) error {
				_, err := get(c, url+p)
				return err
			}, os.ErrDeadlineExceeded},
			"scope": {coophttp.Transport{}, func(g *coop.Greenlet, c *http.Client) error {
				return g.WithTimeout(20*time.Millisecond, func() error { _, err := get(c, url+p); return err })
			}, coop.ErrTimeout},
			"scope of the context": {coophttp.Transport{}, func(g *coop.Greenlet, c *http.Client) error {
				return g.WithTimeout(20*time.Millisecond, func() error {
					r, _ := http.NewRequestWithContext(g, "GET", url+p, nil)
					resp, err := c.Do(r)
					if err == nil {
						_, err = io.ReadAll(resp.Body)
						resp.Body.Close()
					}
					return err
				})
			}, coop.ErrTimeout},
			"killed": {coophttp.Transport{}, func(g *coop.Greenlet, c *http.Client) error {
				h := g.Spawn(func(*coop.Greenlet) error { _, err := get(c, url+p); return err })
				g.Sleep(20 * time.Millisecond)
				h.Kill()
				h.Join(g)
				return h.Result()
			}, coop.ErrKilled},
			"client's timeout": {coophttp.Transport{}, func(g *coop.Greenlet, c *http.Client) error {
				c.Timeout = 20 * time.Millisecond
				_, err := get(c, url+p)
				return err
			}, context.DeadlineExceeded},
			"cancelled": {coophttp.Transport{}, func(g *coop.Greenlet, c *http.Client) error {
				ctx, cancel := context.WithCancel(context.Background())
				time.AfterFunc(20*time.Millisecond, cancel)
				r, _ := http.NewRequestWithContext(ctx, "GET", url+p, nil)
				resp, err := c.Do(r)
				if err == nil {
					_, err = io.ReadAll(resp.Body)
					resp.Body.Close()
				}
				return err
			}, context.Canceled},
		} {
			t.Run(p[1:]+"/"+name, func(t *testing.T) {
				inLoop(t, &tc.tr, func(g *coop.Greenlet, c *http.Client) error {
					if err := tc.do(g, c); !errors.Is(err, tc.want) {
						t.Errorf("got %v", err)
					}
					if n := g.Loop().Stats().Streams; n != 0 {
						t.Errorf("%d connections left", n)
					}
					return nil
				})
			})
		}
	}
}

// http.Client brings redirects and cookies along.
func TestTransportUnderHTTPClient(t *testing.T) {
	url, conns := origin(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/from" {
			http.SetCookie(w, &http.Cookie{Name: "a", Value: "b"})
			http.Redirect(w, r, "/to", http.StatusFound)
			return
		}
		fmt.Fprint(w, r.URL.Path, r.Cookies())
	})
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		jar, err := cookiejar.New(nil)
		if err != nil {
			return err
		}
		c.Jar = jar
		got, err := get(c, url+"/from")
		if got != "/to[a=b]" {
			t.Errorf("got %q", got)
		}
		return err
	})
	if n := conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
}

func TestTransportTLS(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(path))
	defer s.Close()
	s.Config.ErrorLog = nil
	tr := &coophttp.Transport{TLS: &tls.Config{RootCAs: s.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}}
	inLoop(t, tr, func(g *coop.Greenlet, c *http.Client) error {
		for range 3 {
			if got, err := get(c, s.URL+"/x"); got != "/x" || err != nil {
				t.Errorf("%q, %v", got, err)
			}
		}
		return nil
	})
}

func TestTransportRefusesWhatIsNoAddress(t *testing.T) {
	inLoop(t, new(coophttp.Transport), func(g *coop.Greenlet, c *http.Client) error {
		for _, url := range []string{"ftp://x/", "http:///x", "http://127.0.0.1:1/"} {
			if _, err := get(c, url); err == nil {
				t.Errorf("%s: no error", url)
			}
		}
		return nil
	})
}

func TestTransportClosesIdleConnections(t *testing.T) {
	url, _ := origin(t, path)
	inLoop(t, &coophttp.Transport{IdleTimeout: 10 * time.Millisecond}, func(g *coop.Greenlet, c *http.Client) error {
		if _, err := get(c, url); err != nil {
			return err
		}
		for g.Loop().Stats().Streams > 0 {
			if err := g.Sleep(time.Millisecond); err != nil {
				return err
			}
		}
		_, err := get(c, url)
		return err
	})
}
