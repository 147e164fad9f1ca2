package coop_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"os/exec"
	"strings"
	"time"

	"greenroom/coop"
)

// A server and a client on one loop. The client's ReadString parks its greenlet, not the loop.
func ExampleStreamServer() {
	err := coop.Run(func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		server := &coop.StreamServer{
			MaxConns: 100,
			Handler: func(g *coop.Greenlet, c net.Conn) error {
				line, err := bufio.NewReader(c).ReadString('\n')
				if err != nil {
					return err
				}
				_, err = fmt.Fprint(c, strings.ToUpper(line))
				return err
			},
		}
		g.Spawn(func(g *coop.Greenlet) error { return server.Serve(g, ln) })

		c, err := coop.Dial(g, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		defer c.Close()
		fmt.Fprintln(c, "hello")
		answer, err := bufio.NewReader(c).ReadString('\n')
		fmt.Print(answer)
		if err != nil {
			return err
		}
		return g.WithTimeout(10*time.Second, func() error { return server.Stop(g) })
	})
	fmt.Println(err)
	// Output:
	// HELLO
	// <nil>
}

// A connection from anywhere becomes a loop's.
func ExampleNewConn() {
	coop.Run(func(g *coop.Greenlet) error {
		here, there := net.Pipe()
		go func() { io.WriteString(there, "hello"); there.Close() }()
		c, err := coop.NewConn(g.Loop(), here)
		if err != nil {
			return err
		}
		defer c.Close()
		got, err := io.ReadAll(c)
		fmt.Println(string(got), err)
		return err
	})
	// Output: hello <nil>
}

// A deadline is the connection's, a timeout the greenlet's.
func ExampleConn_SetReadDeadline() {
	coop.Run(func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		c, err := coop.Dial(g, "tcp", ln.Addr().String())
		if err != nil {
			return err
		}
		c.SetReadDeadline(time.Now().Add(time.Millisecond))
		_, err = c.Read(make([]byte, 1))
		fmt.Println(err.(net.Error).Timeout())

		c.SetReadDeadline(time.Time{})
		err = g.WithTimeout(time.Millisecond, func() error {
			_, err := c.Read(make([]byte, 1))
			return err
		})
		fmt.Println(err)
		return nil
	})
	// Output:
	// true
	// timed out after 1ms
}

// A driver that takes a dialer becomes cooperative.
func ExampleDialer_DialContext() {
	coop.Run(func(g *coop.Greenlet) error {
		ln, err := coop.Listen(g, "tcp", "127.0.0.1:0")
		if err != nil {
			return err
		}
		// An ordinary library, with a hook for its connections.
		ping := func(dial func(ctx context.Context, network, address string) (net.Conn, error)) (string, error) {
			c, err := dial(context.Background(), "tcp", ln.Addr().String())
			if err != nil {
				return "", err
			}
			defer c.Close()
			return bufio.NewReader(c).ReadString('\n')
		}
		g.Spawn(func(g *coop.Greenlet) error {
			c, err := ln.Accept(g)
			if err != nil {
				return err
			}
			defer c.Close()
			_, err = fmt.Fprintln(c, "pong")
			return err
		})
		dialer := &coop.Dialer{Loop: g.Loop()}
		answer, err := ping(dialer.DialContext)
		fmt.Print(answer)
		return err
	})
	// Output: pong
}

// Call is the way in for a goroutine that needs an answer.
func ExampleLoop_Call() {
	l, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer l.Close()
	l.Start()
	visitors := 0 // the loop's: no lock
	count := func() (n int) {
		l.Call(func(*coop.Greenlet) error {
			visitors++
			n = visitors
			return nil
		})
		return n
	}
	count()
	fmt.Println(count())
	// Output: 2
}

// A function without a greenlet among its parameters can find the one that calls it.
func ExampleLoop_Current() {
	coop.Run(func(g *coop.Greenlet) error {
		l := g.Loop()
		fmt.Println(l.Current() == g)
		_, err := coop.Await(g, func() (int, error) {
			fmt.Println(l.Current())
			return 0, nil
		})
		return err
	})
	// Output:
	// true
	// <nil>
}

// A subprocess: with the greenlet's context a kill or a timeout takes it along; with exec.Command it goes on.
func ExampleAwait_subprocess() {
	coop.Run(func(g *coop.Greenlet) error {
		out, err := coop.Await(g, exec.CommandContext(g.Context(), "echo", "hello").Output)
		fmt.Print(string(out))
		return err
	})
	// Output: hello
}
