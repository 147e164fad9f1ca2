// Conformance is a server with exactly the behaviour that the test suites of the two protocol documents ask
// for, github.com/socketio/socket.io-protocol and, with -engine, github.com/socketio/engine.io-protocol:
//
//	go run ./transports/socketio/internal/conformance           # Socket.IO, at /socket.io/
//	go run ./transports/socketio/internal/conformance -engine   # Engine.IO alone, at /engine.io/
//
// It listens on 127.0.0.1:3000, where the suites look for it. The tests beside it make the same checks.
//
// The Socket.IO suite awaits messages one at a time and misses the second of two that arrive together, of any
// server. So the first event of a session is held back a moment (-pause), and does not share a packet of TCP with
// the answer to CONNECT.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Args[1:], os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
		os.Exit(1)
	}
}

// config is the command line.
type config struct {
	port           int
	engine         bool
	pingInterval   time.Duration
	pingTimeout    time.Duration
	connectTimeout time.Duration
	pause          time.Duration
}

func parse(args []string, out io.Writer) (config, error) {
	var c config
	fs := flag.NewFlagSet("conformance", flag.ContinueOnError)
	fs.SetOutput(out)
	fs.IntVar(&c.port, "port", 3000, "port on 127.0.0.1; 0 takes a free one")
	fs.BoolVar(&c.engine, "engine", false, "serve Engine.IO alone, for the suite of engine.io-protocol")
	fs.DurationVar(&c.pingInterval, "ping-interval", 300*time.Millisecond, "the suites want the default")
	fs.DurationVar(&c.pingTimeout, "ping-timeout", 200*time.Millisecond, "the suites want the default")
	fs.DurationVar(&c.connectTimeout, "connect-timeout", time.Second, "the suites want the default")
	fs.DurationVar(&c.pause, "pause", 20*time.Millisecond, "between the answer to CONNECT and the first event")
	return c, fs.Parse(args)
}

// server is either of the two.
type server interface {
	http.Handler
	Close(ctx context.Context) error
}

// run serves until ctx ends.
func run(ctx context.Context, args []string, out io.Writer) (err error) {
	c, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	h, err := hub.New(hub.Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, h.Close()) }()
	srv, err := c.server(h)
	if err != nil {
		return err
	}
	l, err := net.Listen("tcp", net.JoinHostPort("127.0.0.1", strconv.Itoa(c.port)))
	if err != nil {
		return err
	}
	web := &http.Server{Handler: srv, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() { served <- web.Serve(l) }()
	fmt.Fprintf(out, "listening on http://%s\n", l.Addr())

	select {
	case err = <-served:
	case <-ctx.Done():
	}
	last, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	// A client that does not read its goodbye is cut off, which is no failure.
	_ = srv.Close(last)
	_ = web.Close()
	return err
}

func (c config) server(h *hub.Hub) (server, error) {
	o := engineio.Options{
		PingInterval: c.pingInterval,
		PingTimeout:  c.pingTimeout,
		MaxPayload:   1_000_000,
		CORS:         engineio.CORS{AllowedOrigins: []string{"*"}},
	}
	if c.engine {
		o.Path, o.Wires = "/engine.io/", wires
		return engineio.New(h, o, func(*engineio.Socket) engineio.Handler { return echo{} }), nil
	}
	err := errors.Join(h.Handle("/", c.mainNamespace), h.Handle("/custom", c.customNamespace))
	return socketio.New(h, socketio.Options{Engine: o, ConnectTimeout: c.connectTimeout}), err
}
