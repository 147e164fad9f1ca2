package drivers

import (
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

// A thousand greenlets ask a real server ten thousand times over 16 connections and get the right answers.
func TestAThousandGreenlets(t *testing.T) {
	for _, d := range all {
		t.Run(d.name, func(t *testing.T) {
			t.Parallel()
			_, addr := d.start(t)
			err := d.run(addr, func(g *coop.Greenlet, s Squares) error { return Ask(g, s, greenlets, each) })
			if err != nil {
				t.Error(err)
			}
		})
	}
}
