package coop_test

import (
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"greenroom/coop"
)

// A trace tells who ran when, what each then waited for, and who woke it.
func ExampleTrace() {
	trace := coop.NewTrace(coop.TraceOptions{})
	err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock(), Trace: trace}, func(g *coop.Greenlet) error {
		child := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Second) })
		return child.Join(g)
	})
	if err != nil {
		log.Fatal(err)
	}
	for _, e := range trace.Events() {
		switch {
		case e.Kind == coop.TraceRun && e.Ended:
			fmt.Println(e.At, "ran and ended")
		case e.Kind == coop.TraceRun:
			fmt.Println(e.At, "ran, then:", e.Why)
		case e.Kind == coop.TraceWake && e.Cause != "":
			fmt.Println(e.At, "woken by", e.Cause)
		}
	}
	// For people: trace.WriteHTML(file, "title"), or WriteJSON for ui.perfetto.dev.

	// Output:
	// 0s ran, then: join
	// 0s ran, then: sleep
	// 1s woken by a timer
	// 1s ran and ended
	// 1s ran and ended
}

// Dump is for the moment when nothing moves: who waits for what?
func ExampleDump() {
	loop, err := coop.NewLoop(coop.LoopOptions{Name: "main"})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.Start()
	asleep := make(chan struct{})
	loop.Go(func(g *coop.Greenlet) error {
		g.SetName("dreamer")
		loop.Post(func() { close(asleep) }) // in the next tick
		return g.Sleep(time.Hour)
	})
	<-asleep
	var b strings.Builder
	if err := coop.Dump(&b, coop.DumpOptions{}, loop); err != nil {
		log.Fatal(err)
	}
	fmt.Println(strings.Contains(b.String(), "dreamer: parked: sleep"))
	// Output: true
}

// A watchdog names who holds a loop, while it does.
func ExampleWatch() {
	loop, err := coop.NewLoop(coop.LoopOptions{})
	if err != nil {
		log.Fatal(err)
	}
	defer loop.Close()
	loop.Start()
	caught := make(chan string)
	w := coop.Watch(coop.WatchdogOptions{
		Limit: 10 * time.Millisecond,
		OnBlock: func(b coop.Block) {
			select {
			case caught <- b.Who():
			default: // nobody waits for it
			}
		},
	}, loop)
	defer w.Stop()
	over := make(chan struct{})
	loop.Go(func(g *coop.Greenlet) error {
		defer close(over)
		g.SetName("glutton")
		fmt.Println(<-caught, "holds the loop") // an ordinary channel: it blocks the loop, not the greenlet
		return nil
	})
	<-over
	// Output: glutton holds the loop
}

// The same seed gives the same run; what waits for ever is found out.
func ExampleSimulate() {
	err := coop.Simulate(coop.SimOptions{Seed: 42}, func(g *coop.Greenlet, w *coop.World) error {
		ln, err := w.Listen("server")
		if err != nil {
			return err
		}
		g.Spawn(func(g *coop.Greenlet) error {
			c, err := ln.Accept(g)
			if err != nil {
				return err
			}
			_, err = c.Write([]byte("hello"))
			return err // and forgets to close the connection
		}).SetName("server")
		c, err := w.Dial(g, "server")
		if err != nil {
			return err
		}
		buf := make([]byte, 16)
		for {
			n, err := c.Read(buf)
			if err != nil {
				return err
			}
			os.Stdout.Write(buf[:n])
		}
	})
	var d *coop.DeadlockError
	fmt.Println("\ndeadlock:", errors.As(err, &d))
	// Output:
	// hello
	// deadlock: true
}
