// Command greenroom serves rooms: browsers speak Socket.IO to it, any other language ZeroMQ.
//
//	greenroom                              serve the chat demo and the rooms on loopback
//	greenroom publish lobby hello          say something in a room
//	greenroom listen lobby                 print what is said there
//	greenroom keys feeds                   make keys for an encrypted ZeroMQ connection
//	greenroom zmq doctor ENDPOINT          say what is wrong with a ZeroMQ endpoint
//	greenroom redis doctor URL             say what keeps nodes from meeting on a Redis
//	greenroom loadtest 127.0.0.1:3000      measure a server under load
//	greenroom --help                       everything else
//
// Every flag is also an environment variable: --zmq-pull is GREENROOM_ZMQ_PULL. A flag on the command line
// wins. Any endpoint of the server can be "off". The exit code is 0 when all went well, 1 when something
// failed, and 2 for a command line that makes no sense; why stands on the standard error, in one line.
//
// With --tls-cert and --tls-key the server speaks HTTPS, and HTTP/2. At SIGHUP it reads both files again, for new
// connections; files that it cannot use change nothing and are logged. With --zmq-allow or --zmq-plain SIGHUP makes
// it look who may come over ZeroMQ now. Without any of them SIGHUP ends it at once.
//
// The server ends at SIGTERM and SIGINT. It refuses newcomers, reads what ZeroMQ publishers have sent, tells
// the clients, lets what waits for them leave, and exits with 0 within ten seconds; a second signal ends it
// at once. While it does, /readyz answers 503 and /healthz 200.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"
)

type cli struct {
	Serve    serveCmd    `cmd:"" default:"withargs" help:"Serve rooms to Socket.IO and ZeroMQ, and the chat demo (the default command)."`
	Publish  publishCmd  `cmd:"" help:"Publish one message into a room."`
	Listen   listenCmd   `cmd:"" help:"Print the messages of rooms, one a line, until interrupted."`
	Keys     keysCmd     `cmd:"" help:"Make a key pair for CURVE, in the files that pyzmq has."`
	Zmq      zmqCmd      `cmd:"" help:"Tools for ZeroMQ endpoints."`
	Redis    redisCmd    `cmd:"" help:"Tools for Redis."`
	Loadtest loadtestCmd `cmd:"" help:"Measure what a server costs under load."`
	Version  versionCmd  `cmd:"" help:"Print the version."`
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who cannot wait for the good order sends a second signal
	code := run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is main without the process: it returns the exit code. ctx ends a command in good order.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exit := -1
	parser, err := newParser(&c,
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) { exit = code }),
		kong.BindTo(ctx, (*context.Context)(nil)),
		kong.Bind(&streams{in: stdin, out: stdout, err: stderr}),
	)
	if err != nil {
		fmt.Fprintln(stderr, "greenroom:", err)
		return 2
	}
	k, err := parser.Parse(args)
	if exit >= 0 { // --help has been printed
		return exit
	}
	if err != nil {
		fmt.Fprintln(stderr, "greenroom:", err)
		return 2
	}
	if err := k.Run(); err != nil && !errors.Is(err, context.Canceled) {
		fmt.Fprintln(stderr, "greenroom:", err)
		if senseless := (*usageError)(nil); errors.As(err, &senseless) {
			return 2
		}
		return 1
	}
	return 0
}

// newParser makes the parser that fills c from arguments and environment variables.
func newParser(c *cli, options ...kong.Option) (*kong.Kong, error) {
	return kong.New(c, append(options,
		kong.Name("greenroom"),
		kong.Description("A realtime messaging server: Socket.IO rooms and ZeroMQ pub/sub, joined."),
		kong.DefaultEnvars("GREENROOM"),
		kong.Help(help),
		kong.WithHyphenPrefixedParameters(true), // --loops -1 is a wrong number, not a flag called 1
	)...)
}

// help prints what kong prints, and without a command the flags of the default one as well.
func help(o kong.HelpOptions, ctx *kong.Context) error {
	err := kong.DefaultHelpPrinter(o, ctx)
	if err != nil || ctx.Selected() != nil {
		return err
	}
	serve, err := kong.Trace(ctx.Kong, []string{"serve"})
	if err != nil {
		return err
	}
	fmt.Fprintln(ctx.Stdout)
	return kong.DefaultHelpPrinter(o, serve)
}

// streams are the process's standard streams, or a test's.
type streams struct {
	in       io.Reader
	out, err io.Writer
}
