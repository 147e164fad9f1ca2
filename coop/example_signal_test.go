//go:build unix

package coop_test

import (
	"fmt"
	"os"
	"syscall"

	"greenroom/coop"
)

// The main greenlet of a server waits for the signal that ends it.
func ExampleNewSignals() {
	coop.Run(func(g *coop.Greenlet) error {
		signals := coop.NewSignals(g.Loop(), syscall.SIGTERM, syscall.SIGHUP)
		defer signals.Stop()
		syscall.Kill(os.Getpid(), syscall.SIGHUP) // as an operator would
		sig, err := signals.Wait(g)
		fmt.Println(sig)
		return err
	})
	// Output: hangup
}
