package drivers

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"runtime/metrics"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/bradfitz/gomemcache/memcache"
	"github.com/redis/go-redis/v9"

	"greenroom/coop"
)

// BenchmarkQueries is 1 000 greenlets, and 1 000 goroutines, that ask a real server 10 000 times over 16 connections.
// Beside queries/s it reports the processor time of this process, without the server's, and the stacks
// of all who wait and work, halfway through.
//
//	go test -run '^$' -bench . -benchtime 10x ./coop/examples/drivers
func BenchmarkQueries(b *testing.B) {
	for _, d := range all {
		b.Run(d.name, func(b *testing.B) {
			_, addr := d.start(b)
			b.Run("greenlets", func(b *testing.B) {
				err := d.run(addr, func(g *coop.Greenlet, s Squares) error {
					return measure(b, func(m *meter) error { return Ask(g, metered{s, m}, greenlets, each) })
				})
				if err != nil {
					b.Fatal(err)
				}
			})
			b.Run("goroutines", func(b *testing.B) { benchmarkGoroutines(b, plain[d.name], addr) })
		})
	}
	// The other way, for the two that can do without.
	b.Run("memcache-await", func(b *testing.B) {
		_, addr := startMemcached(b)
		benchmarkAwait(b, plain["memcache"], addr)
	})
	b.Run("http-await", func(b *testing.B) {
		_, addr := startHTTP(b)
		benchmarkAwait(b, plain["http"], addr)
	})
}

// metered counts queries on their way.
type metered struct {
	Squares
	m *meter
}

func (s metered) Square(g *coop.Greenlet, n int) (int, error) {
	s.m.query()
	return s.Squares.Square(g, n)
}

// meter looks at the stacks halfway through a round.
type meter struct {
	queries atomic.Int64
	stacks  uint64
}

func (m *meter) query() {
	if m.queries.Add(1) == greenlets*each/2 {
		m.stacks = stackBytes()
	}
}

func stackBytes() uint64 {
	s := []metrics.Sample{{Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}

// measure runs b.N rounds.
func measure(b *testing.B, round func(*meter) error) error {
	m := new(meter)
	if err := round(m); err != nil { // opens the connections
		return err
	}
	var stacks uint64
	b.ResetTimer()
	start := cpuTime()
	for range b.N {
		b.StopTimer()
		paused := cpuTime()
		runtime.GC() // takes back the stacks of the last round
		m = new(meter)
		start += cpuTime() - paused
		b.StartTimer()
		if err := round(m); err != nil {
			return err
		}
		stacks += m.stacks
	}
	b.StopTimer()
	spent := cpuTime() - start
	queries := float64(b.N) * greenlets * each
	b.ReportMetric(queries/b.Elapsed().Seconds(), "queries/s")
	b.ReportMetric(float64(spent)/1e3/queries, "CPU-µs/query")
	b.ReportMetric(float64(stacks)/float64(b.N)/(1<<20), "stacks-MB")
	return nil
}

// opener opens a client as a program without coop would.
type opener func(addr string) (square func(context.Context, int) (int, error), stop func() error, err error)

var plain = map[string]opener{
	"mysql": func(addr string) (func(context.Context, int) (int, error), func() error, error) {
		db, err := sql.Open("mysql", addr)
		if err != nil {
			return nil, nil, err
		}
		db.SetMaxOpenConns(conns)
		db.SetMaxIdleConns(conns)
		m := &MySQL{db: db}
		if err := m.fill(context.Background(), each); err != nil {
			return nil, nil, errors.Join(err, db.Close())
		}
		return m.square, db.Close, nil
	},
	"memcache": func(addr string) (func(context.Context, int) (int, error), func() error, error) {
		m := &Memcache{client: memcache.New(addr)}
		m.client.MaxIdleConns = conns
		turns := make(chan struct{}, conns)
		for i := range each {
			if err := m.client.Set(&memcache.Item{Key: squareKey(i), Value: fmt.Append(nil, i*i)}); err != nil {
				return nil, nil, err
			}
		}
		return func(_ context.Context, n int) (int, error) {
			turns <- struct{}{}
			defer func() { <-turns }()
			return m.square(n)
		}, m.client.Close, nil
	},
	"redis": func(addr string) (func(context.Context, int) (int, error), func() error, error) {
		r := &Redis{client: redis.NewClient(&redis.Options{Addr: addr, PoolSize: conns})}
		for i := range each {
			if err := r.client.Set(context.Background(), squareKey(i), i*i, 0).Err(); err != nil {
				return nil, nil, errors.Join(err, r.client.Close())
			}
		}
		return r.square, r.client.Close, nil
	},
	"http": func(addr string) (func(context.Context, int) (int, error), func() error, error) {
		t := &http.Transport{MaxConnsPerHost: conns, MaxIdleConnsPerHost: conns}
		h := &HTTP{&http.Client{Transport: t}, addr}
		return h.square, h.Close, nil
	},
}

func benchmarkGoroutines(b *testing.B, open opener, addr string) {
	square, stop, err := open(addr)
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	ctx, cancel := context.WithCancel(context.Background()) // a greenlet's can be cancelled, too
	defer cancel()
	err = measure(b, func(m *meter) error {
		var all sync.WaitGroup
		failures := make([]error, greenlets)
		for i := range greenlets {
			all.Go(func() {
				for k := range each {
					n := (i + k) % each
					m.query()
					got, err := square(ctx, n)
					if err == nil && got != n*n {
						err = fmt.Errorf("the square of %d is said to be %d", n, got)
					}
					if err != nil {
						failures[i] = err
						return
					}
				}
			})
		}
		all.Wait()
		return errors.Join(failures...)
	})
	if err != nil {
		b.Fatal(err)
	}
}

// awaited asks through [Do].
type awaited struct {
	Squares
	calls  Limit
	square func(context.Context, int) (int, error)
}

func (a awaited) Square(g *coop.Greenlet, n int) (int, error) {
	return Do(g, a.calls, func(ctx context.Context) (int, error) { return a.square(ctx, n) })
}

func benchmarkAwait(b *testing.B, open opener, addr string) {
	square, stop, err := open(addr)
	if err != nil {
		b.Fatal(err)
	}
	defer stop()
	err = coop.Run(func(g *coop.Greenlet) error {
		return measure(b, func(m *meter) error {
			return Ask(g, metered{awaited{calls: NewLimit(conns), square: square}, m}, greenlets, each)
		})
	})
	if err != nil {
		b.Fatal(err)
	}
}
