package drivers

import (
	"context"
	"errors"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"greenroom/coop"
	"greenroom/internal/testenv"
)

const (
	greenlets = 1000
	each      = 10
	conns     = 16
)

// driver is one client and its server.
type driver struct {
	name  string
	start func(testing.TB) (p *testenv.Process, addr string)
	open  func(l *coop.Loop, addr string) (Squares, error)
}

var all = []driver{
	{"mysql", startMariaDB, func(_ *coop.Loop, addr string) (Squares, error) { return OpenMySQL(addr, conns) }},
	{"memcache", startMemcached, func(l *coop.Loop, addr string) (Squares, error) { return NewMemcache(l, addr, conns), nil }},
	{"redis", startRedis, func(_ *coop.Loop, addr string) (Squares, error) { return NewRedis(addr, conns), nil }},
	{"http", startHTTP, func(l *coop.Loop, addr string) (Squares, error) { return NewHTTP(l, addr, conns), nil }},
}

// run runs fn with a filled store on a loop of its own.
func (d driver) run(addr string, fn func(*coop.Greenlet, Squares) error) error {
	return coop.Run(func(g *coop.Greenlet) error {
		s, err := d.open(g.Loop(), addr)
		if err != nil {
			return err
		}
		defer s.Close()
		if err := s.Fill(g, each); err != nil {
			return err
		}
		return fn(g, s)
	})
}

// connections is how many there are.
func connections(g *coop.Greenlet, s Squares) int {
	switch s := s.(type) {
	case *MySQL:
		return s.db.Stats().OpenConnections
	case *Redis:
		return int(s.client.PoolStats().TotalConns)
	default:
		return int(g.Loop().Stats().Streams)
	}
}

// A thousand greenlets ask a real server ten thousand times over 16 connections and get the right answers.
func TestAThousandGreenlets(t *testing.T) {
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			_, addr := d.start(t)
			err := d.run(addr, func(g *coop.Greenlet, s Squares) error {
				err := Ask(g, s, greenlets, each)
				if n := connections(g, s); n < 2 || n > conns {
					t.Errorf("%d connections, want at most %d, and more than one", n, conns)
				}
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// No more calls block than the limit says, whoever is killed or times out on the way, and none of the turns is lost.
func TestLimit(t *testing.T) {
	const most = 4
	err := coop.Run(func(g *coop.Greenlet) error {
		calls := NewLimit(most)
		var now, highest atomic.Int32
		call := func(ctx context.Context) (struct{}, error) {
			n := now.Add(1)
			defer now.Add(-1)
			for h := highest.Load(); n > h && !highest.CompareAndSwap(h, n); h = highest.Load() {
			}
			<-ctx.Done()
			return struct{}{}, ctx.Err()
		}
		waiting := make([]*coop.Greenlet, 3*most)
		for i := range waiting {
			waiting[i] = g.Spawn(func(g *coop.Greenlet) error {
				_, err := Do(g, calls, call)
				return err
			})
		}
		for now.Load() < most {
			if err := g.Yield(); err != nil {
				return err
			}
		}
		if n := highest.Load(); n != most {
			t.Errorf("%d calls at a time, want %d", n, most)
		}
		if err := coop.KillAll(g, waiting...); err != nil {
			return err
		}
		if n := calls.turns.Free(); n != most {
			t.Errorf("%d turns left of %d", n, most)
		}
		err := g.WithTimeout(0, func() error { _, err := Do(g, calls, call); return err })
		if !errors.Is(err, coop.ErrTimeout) {
			t.Errorf("timed out with %v", err)
		}
		if n := calls.turns.Free(); n != most {
			t.Errorf("%d turns left of %d after a timeout", n, most)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// The programs do what they say.
func TestPrograms(t *testing.T) {
	dir := t.TempDir()
	build := exec.Command("go", "build", "-o", dir, "./mysql", "./memcache", "./redis", "./http")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			_, addr := d.start(t)
			option := "-addr"
			if d.name == "mysql" {
				option = "-dsn"
			}
			addr = strings.TrimSuffix(strings.TrimPrefix(addr, "http://"), "/")
			out, err := exec.Command(filepath.Join(dir, d.name), option, addr).CombinedOutput()
			if err != nil || !strings.Contains(string(out), "1000 greenlets, 10000 queries") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
