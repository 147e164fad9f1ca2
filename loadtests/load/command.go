package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// A Command is the command line of a load test, with tags for kong: `go run ./loadtests` and `greenroom loadtest`.
type Command struct {
	Mode      string        `default:"fanout" enum:"fanout,echo,idle,connect" help:"What clients do: fanout (one member of each room publishes), echo (every client calls and waits for its ack), idle, or connect (log in and leave, again and again)."`
	Transport string        `default:"websocket" enum:"websocket,polling" help:"websocket or polling."`
	Deflate   bool          `help:"Offer permessage-deflate."`
	Clients   int           `default:"100" help:"How many; in the mode connect, how many at the same time."`
	Rooms     int           `default:"1" help:"Rooms that share the clients evenly (fanout)."`
	Window    int           `default:"1" help:"Messages of a room, or calls of a client, that may be under way."`
	Rate      float64       `help:"Messages, calls or connects a second of all together, whatever became of the earlier ones; 0: as the window allows."`
	Size      int           `default:"64" help:"Bytes of text in a message."`
	Duration  time.Duration `default:"5s" help:"How long to measure."`
	WarmUp    time.Duration `default:"1s" help:"How long to run before."`
	Gather    time.Duration `default:"50us" help:"How long deliveries of a fan-out gather before they are read. Latencies include it."`
	Dialing   int           `default:"32" help:"Handshakes under way while the clients connect."`

	Cmd      []string `placeholder:"NAME[+PROTOCOL]=COMMAND" sep:"none" help:"A server to start, measure and stop; {port} in the command becomes its port. Repeat it to compare several."`
	Protocol string   `default:"eio4" enum:"eio4,eio3,relay,centrifuge" help:"What the server at ADDRESS speaks, and those of --cmd that name none: eio4, eio3 (Socket.IO 2), relay (eio4 with Greenroom's own session handler), or centrifuge."`
	Path     string   `help:"The endpoint's path, if it is not the usual one."`
	PID      int      `name:"pid" help:"Process of the server at ADDRESS, to read its processor time and memory."`
	Address  string   `arg:"" optional:"" help:"host:port of a server that runs already."`

	Rounds   int    `default:"1" help:"Measure every server this often, taking turns; the median counts."`
	JSON     string `name:"json" placeholder:"FILE" help:"Write the results to a file; - for the standard output."`
	HTML     string `name:"html" placeholder:"FILE" help:"Write a report with charts."`
	Progress string `default:"auto" enum:"auto,on,off" help:"A line a second: auto (if the standard error is a terminal), on or off."`
}

// A UsageError is a command line that makes no sense.
type UsageError struct{ Err error }

func (e *UsageError) Error() string { return e.Err.Error() }
func (e *UsageError) Unwrap() error { return e.Err }

// plan is what the flags say.
func (c *Command) plan() (Plan, error) {
	p := Plan{
		Mode: c.Mode, Transport: c.Transport, Deflate: c.Deflate, Clients: c.Clients, Rooms: c.Rooms, Window: c.Window,
		Rate: c.Rate, Size: c.Size, Duration: c.Duration, WarmUp: c.WarmUp, Gather: c.Gather, Dialing: c.Dialing,
	}
	for name, n := range map[string]int{"clients": c.Clients, "rooms": c.Rooms, "window": c.Window, "size": c.Size, "dialing": c.Dialing, "rounds": c.Rounds} {
		if n < 1 {
			return p, fmt.Errorf("--%s %d: want at least 1", name, n)
		}
	}
	if c.Duration <= 0 {
		return p, fmt.Errorf("--duration %s: want more than nothing", c.Duration)
	}
	if c.WarmUp <= 0 {
		p.WarmUp = -1
	}
	if c.Gather <= 0 {
		p.Gather = -1
	}
	return p, p.Check()
}

// peers are the servers that the flags name.
func (c *Command) peers() ([]Peer, error) {
	var peers []Peer
	for _, s := range c.Cmd {
		name, command, ok := strings.Cut(s, "=")
		if !ok || name == "" || !strings.Contains(command, "{port}") {
			return nil, fmt.Errorf("--cmd %q: want NAME=COMMAND with {port}", s)
		}
		p := Peer{Name: name, Protocol: c.Protocol, Path: c.Path, Command: strings.Fields(command)}
		if base, protocol, ok := strings.Cut(name, "+"); ok {
			if _, err := newDialect(protocol); err != nil || base == "" {
				return nil, fmt.Errorf("--cmd %q: want NAME+PROTOCOL=COMMAND; %w", s, err)
			}
			p.Protocol = protocol
		}
		peers = append(peers, p)
	}
	if c.Address != "" {
		addr := strings.TrimSuffix(strings.TrimPrefix(c.Address, "http://"), "/")
		peers = append(peers, Peer{Name: addr, Protocol: c.Protocol, Path: c.Path, Addr: addr, PID: c.PID})
	}
	if len(peers) == 0 {
		return nil, errors.New("nothing to measure: give an address or --cmd")
	}
	return peers, nil
}

// Execute measures what the command line says and reports to out; the progress goes to errs. What is measured when ctx ends
// is reported all the same.
func (c *Command) Execute(ctx context.Context, out, errs io.Writer) error {
	p, err := c.plan()
	if err != nil {
		return &UsageError{err}
	}
	peers, err := c.peers()
	if err != nil {
		return &UsageError{err}
	}
	for _, peer := range peers {
		if _, err := newRun(p, peer); err != nil {
			return &UsageError{fmt.Errorf("%s: %w", peer.Name, err)}
		}
	}
	if c.Progress == "on" || c.Progress == "auto" && isTerminal(errs) {
		p.Progress = func(s Sample) { printSample(errs, p, s) }
	}
	table := out
	if c.JSON == "-" {
		table = errs // the standard output is for programs then
	}
	results, err := c.measure(ctx, p, peers, table)
	if len(results) == 0 {
		return err
	}
	return errors.Join(err, c.report(out, results))
}

// measure takes turns with the peers. It goes on until the first error.
func (c *Command) measure(ctx context.Context, p Plan, peers []Peer, w io.Writer) (medians []Result, err error) {
	rounds := make([][]Result, len(peers))
	printed := false
measuring:
	for range c.Rounds {
		for i, peer := range peers {
			if ctx.Err() != nil {
				break measuring
			}
			var r Result
			if r, err = Run(ctx, p, peer); err != nil {
				err = fmt.Errorf("%s: %w", peer.Name, err)
			}
			if r.Seconds > 0 {
				if !printed {
					printed = true
					printHead(w, p)
				}
				printLine(w, r)
				rounds[i] = append(rounds[i], r)
			}
			if err != nil {
				break measuring
			}
		}
	}
	for _, rs := range rounds {
		if len(rs) > 0 {
			medians = append(medians, Median(rs))
		}
	}
	if len(medians) == len(peers) {
		printRatios(w, medians)
	}
	return medians, err
}

// report writes the files that were asked for.
func (c *Command) report(out io.Writer, results []Result) error {
	var errs []error
	if c.JSON != "" {
		errs = append(errs, writeTo(c.JSON, out, func(w io.Writer) error {
			e := json.NewEncoder(w)
			e.SetIndent("", "  ")
			return e.Encode(results)
		}))
	}
	if c.HTML != "" {
		errs = append(errs, writeTo(c.HTML, out, func(w io.Writer) error { return WriteHTML(w, results) }))
	}
	return errors.Join(errs...)
}

// writeTo has a file written, or for - the standard output.
func writeTo(path string, out io.Writer, write func(io.Writer) error) error {
	if path == "-" {
		return write(out)
	}
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	return errors.Join(write(f), f.Close())
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
