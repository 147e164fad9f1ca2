package coop_test

import (
	"io"
	"net"
	"sync"
	"testing"

	"greenroom/coop"
)

// BenchmarkEcho has 1 000 connections answered, by greenlets over Conns or by goroutines over net's. The clients are
// the same goroutines for both; so is their part of the CPU time.
//
//	go test -run '^$' -bench Echo ./coop
func BenchmarkEcho(b *testing.B) {
	b.Run("coop", func(b *testing.B) {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		l, err := coop.NewLoop(coop.LoopOptions{})
		if err != nil {
			b.Fatal(err)
		}
		l.Start()
		ln := coop.NewListener(l, nl)
		s := &coop.StreamServer{Handler: func(_ *coop.Greenlet, c net.Conn) error { return echoAll(c) }}
		l.Go(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		echoStorm(b, nl.Addr().String())
		l.Close()
	})
	b.Run("net", func(b *testing.B) {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		var wg sync.WaitGroup
		wg.Go(func() {
			for {
				c, err := nl.Accept()
				if err != nil {
					return
				}
				wg.Go(func() { echoAll(c); c.Close() })
			}
		})
		echoStorm(b, nl.Addr().String())
		nl.Close()
		wg.Wait()
	})
}

func echoAll(c net.Conn) error {
	var p [512]byte
	for {
		n, err := c.Read(p[:])
		if err != nil {
			return err
		}
		if _, err := c.Write(p[:n]); err != nil {
			return err
		}
	}
}

func echoStorm(b *testing.B, addr string) {
	const conns = 1000
	all := make([]net.Conn, conns)
	var p [64]byte
	for i := range all {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Fatal(err)
		}
		defer c.Close()
		all[i] = c
		c.Write(p[:])
		if _, err := io.ReadFull(c, p[:]); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	b.ResetTimer()
	before := cpuTime()
	var wg sync.WaitGroup
	for i, c := range all {
		n := b.N / conns
		if i < b.N%conns {
			n++
		}
		wg.Go(func() {
			var p [64]byte
			for range n {
				c.Write(p[:])
				if _, err := io.ReadFull(c, p[:]); err != nil {
					b.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
}

// BenchmarkAccept has connections made, answered with a byte and closed, one after the other by each of 16 clients.
func BenchmarkAccept(b *testing.B) {
	storm := func(b *testing.B, addr string) {
		b.ResetTimer()
		before := cpuTime()
		var wg sync.WaitGroup
		for i := range 16 {
			n := b.N / 16
			if i < b.N%16 {
				n++
			}
			wg.Go(func() {
				var p [1]byte
				for range n {
					c, err := net.Dial("tcp", addr)
					if err != nil {
						b.Error(err)
						return
					}
					c.Read(p[:])
					c.(*net.TCPConn).SetLinger(0) // no TIME_WAIT
					c.Close()
				}
			})
		}
		wg.Wait()
		b.StopTimer()
		b.ReportMetric(float64(cpuTime()-before)/float64(b.N), "cpu-ns/op")
	}
	var one [1]byte
	b.Run("coop", func(b *testing.B) {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		l, err := coop.NewLoop(coop.LoopOptions{OnFailure: quiet})
		if err != nil {
			b.Fatal(err)
		}
		l.Start()
		ln := coop.NewListener(l, nl)
		s := &coop.StreamServer{Handler: func(_ *coop.Greenlet, c net.Conn) error { _, err := c.Write(one[:]); return err }}
		l.Go(func(g *coop.Greenlet) error { return s.Serve(g, ln) })
		storm(b, nl.Addr().String())
		l.Close()
	})
	b.Run("net", func(b *testing.B) {
		nl, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			b.Fatal(err)
		}
		go func() {
			for {
				c, err := nl.Accept()
				if err != nil {
					return
				}
				go func() { c.Write(one[:]); c.Close() }()
			}
		}()
		storm(b, nl.Addr().String())
		nl.Close()
	})
}
