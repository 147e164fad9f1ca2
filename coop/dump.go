package coop

import (
	"bufio"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"time"
)

// DumpOptions configure [Dump]. The zero value is ready to use.
type DumpOptions struct {
	Stacks bool          // also print each greenlet's stack; stops the world for a moment
	Wait   time.Duration // how long a loop may take to answer before it is called held; 0 is 1 s
	Max    int           // greenlets listed of each loop, the oldest; 0 is 10 000
}

const (
	defaultDumpWait = time.Second
	defaultDumpMax  = 10_000
)

// Dump prints every greenlet of the loops, oldest first: its number and name, whether it runs, is ready
// or for what it is parked and since when, and who spawned it. A loop that does not answer is said
// to be held, with the stack of whoever holds it. Any goroutine but a loop's own; the output is for
// people and may change. Counterpart of gevent.util.print_run_info.
func Dump(w io.Writer, o DumpOptions, loops ...*Loop) error {
	if o.Wait <= 0 {
		o.Wait = defaultDumpWait
	}
	if o.Max <= 0 {
		o.Max = defaultDumpMax
	}
	out := bufio.NewWriter(w)
	for i, l := range loops {
		if i > 0 {
			fmt.Fprintln(out)
		}
		dumpLoop(out, o, l)
	}
	return out.Flush()
}

func dumpLoop(out *bufio.Writer, o DumpOptions, l *Loop) {
	name := l.o.Name
	if name == "" {
		name = fmt.Sprintf("loop %d", l.id)
	}
	c := &census{max: o.Max, done: make(chan struct{})}
	problem := c.take(l, o.Wait)
	stats := l.Stats() // the census has brought them up to date
	fmt.Fprintf(out, "%s: %d greenlets, %d ready, %d streams, %d switches, %d ticks\n",
		name, stats.Greenlets, stats.Ready, stats.Streams, stats.Switches, stats.Ticks)
	if problem != "" {
		fmt.Fprintf(out, "  %s\n", problem)
		return
	}
	var stacks []byte
	if o.Stacks {
		stacks = allStacks()
	}
	c.write(out, stacks)
}

// write prints the list.
func (c *census) write(out io.Writer, stacks []byte) {
	for _, e := range c.list {
		fmt.Fprintf(out, "  #%d %s: %s, spawned", e.g.id, e.g.Name(), e.state)
		if e.spawner != 0 {
			fmt.Fprintf(out, " by #%d", e.spawner)
		}
		at := e.g.Spawned()
		fmt.Fprintf(out, " at %s:%d\n", filepath.Base(at.File), at.Line)
		if stack := stackOf(stacks, e.g); stack != "" {
			fmt.Fprintf(out, "%s\n", stack)
		}
	}
	if c.more > 0 {
		fmt.Fprintf(out, "  and %d more\n", c.more)
	}
}

// census is a [Job] that takes down who lives on a loop.
type census struct {
	max  int
	list []censusEntry
	more int
	done chan struct{}
}

type censusEntry struct {
	g       *Greenlet
	state   string
	spawner uint64
}

// take waits for the loop's answer, and says what is wrong when there is none.
func (c *census) take(l *Loop, wait time.Duration) (problem string) {
	if !l.started() {
		return "has not been started"
	}
	if !l.PostJob(c) {
		return "has been closed"
	}
	patience := time.NewTimer(wait)
	defer patience.Stop()
	select {
	case <-c.done:
		return ""
	case <-patience.C:
		return fmt.Sprintf("is held: no answer within %v\n%s", wait, stackOfLoop(allStacks(), l))
	}
}

func (c *census) RunOn(l *Loop) {
	defer close(c.done)
	l.publishStats()
	now := l.Now()
	n := int(l.stats.greenlets.Load())
	for g := l.live.newest; g != nil; g = g.older {
		if n--; n >= c.max { // the newest are left out
			c.more++
			continue
		}
		e := censusEntry{g: g, state: g.describe(now)}
		if g.parent != nil {
			e.spawner = g.parent.id
		}
		c.list = append(c.list, e)
	}
	slices.Reverse(c.list)
}

// describe says what the greenlet does at the moment.
func (g *Greenlet) describe(now time.Duration) string {
	switch g.state {
	case fresh:
		return "ready to begin"
	case ready:
		return fmt.Sprintf("ready, after %v", g.why)
	case yielding:
		return "ready, after yield"
	case later:
		if g.timer != nil && g.timer.Active() {
			return fmt.Sprintf("begins in %v", (g.timer.at() - now).Round(time.Millisecond))
		}
		return "never begins"
	case parked, deaf:
		return fmt.Sprintf("parked: %v, for %v", g.why, (now - g.since).Round(time.Millisecond))
	}
	return "running"
}
