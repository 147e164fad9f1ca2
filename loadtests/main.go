// Command loadtests measures what Socket.IO and Centrifuge servers cost under load. `greenroom loadtest` is the same.
//
//	go run ./loadtests --clients 1000 --window 4 --cmd 'greenroom=bin/peer-greenroom {port}'
//
// See the package greenroom/loadtests/load for what is measured, and README.md for how to read it.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/alecthomas/kong"

	"greenroom/loadtests/load"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // who cannot wait for the report sends a second signal
	var c load.Command
	kong.Parse(&c, kong.Name("loadtests"), kong.Description("Measure what a realtime server costs under load."))
	err := c.Execute(ctx, os.Stdout, os.Stderr)
	stop()
	if err == nil {
		return
	}
	fmt.Fprintln(os.Stderr, "loadtests:", err)
	if errors.As(err, new(*load.UsageError)) {
		os.Exit(2)
	}
	os.Exit(1)
}
