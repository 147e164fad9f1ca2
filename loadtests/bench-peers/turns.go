package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"greenroom/loadtests/load"
)

// A bench takes peers through rows.
type bench struct {
	dir    string // of the project
	rows   []row
	peers  []peer
	rounds int
	record *record
	saved  func() error // called after each row
	out    io.Writer
	run    func(context.Context, load.Plan, load.Peer) (load.Result, error)
}

// measure does every row, group by group. Within a group rows and peers take turns, round by round, so that whatever
// else the machine does happens to all of them.
func (b *bench) measure(ctx context.Context) error {
	missing := map[string]string{} // peers that cannot be started, and why
	for _, p := range b.peers {
		if err := p.build(b.dir); err != nil {
			missing[p.name] = err.Error()
			fmt.Fprintf(b.out, "%s is left out: %v\n", p.name, err)
		}
	}
	for len(b.rows) > 0 {
		group := b.rows[0].group()
		n := 1
		for n < len(b.rows) && b.rows[n].group() == group {
			n++
		}
		if err := b.turns(ctx, b.rows[:n], missing); err != nil {
			return err
		}
		if err := b.saved(); err != nil {
			return err
		}
		b.rows = b.rows[n:]
	}
	return nil
}

// turns measures the rows of a group. Who has been first in a round, or in an earlier run, is last in the next.
func (b *bench) turns(ctx context.Context, group []row, missing map[string]string) error {
	gone := map[string]bool{} // row and peer: not again
	for round := range b.rounds {
		for _, r := range group {
			if r.most > 0 && round >= r.most {
				continue
			}
			for i := range b.peers {
				p := b.peers[(i+round+b.record.Runs)%len(b.peers)]
				key := r.key + " " + p.name
				if r.refuses(p) != "" || gone[key] {
					continue
				}
				if why := missing[p.name]; why != "" {
					gone[key] = true
					b.record.add(measurement{Row: r.key, Peer: p.name, Error: why})
					continue
				}
				gone[key] = !b.twice(ctx, round, r, p)
				if ctx.Err() != nil {
					return ctx.Err()
				}
			}
		}
	}
	return nil
}

// twice takes a measurement, and once more if there is no result: some servers lose one connection in thousands.
// Both are recorded. It reports whether there is a result.
func (b *bench) twice(ctx context.Context, round int, r row, p peer) bool {
	for range 2 {
		m := b.one(ctx, r, p)
		if ctx.Err() != nil {
			return false
		}
		b.record.add(m)
		fmt.Fprintln(b.out, progress(round, r, p, m))
		if m.Result != nil {
			return true
		}
	}
	return false
}

// most that one measurement may take beside its own time: connecting 15 000 clients to the slowest.
const mostBeside = 3 * time.Minute

// one is one measurement. Messages that went wrong leave it its figures, and a complaint beside them.
func (b *bench) one(ctx context.Context, r row, p peer) measurement {
	m := measurement{Row: r.key, Peer: p.name, Began: time.Now().UTC().Truncate(time.Second)}
	ctx, cancel := context.WithTimeoutCause(ctx, r.plan.Duration+r.plan.WarmUp+mostBeside, errors.New("it took too long"))
	defer cancel()
	res, err := b.run(ctx, r.plan, p.server(b.dir, r))
	var faults *load.FaultError
	switch {
	case errors.As(err, &faults):
		m.Result = &res
	case err != nil:
		m.Error = err.Error()
	case res.Interrupted:
		m.Error = context.Cause(ctx).Error()
	default:
		m.Result = &res
	}
	return m
}

func progress(round int, r row, p peer, m measurement) string {
	head := fmt.Sprintf("%d %-13s %-11s", round+1, r.key, p.name)
	if m.Result == nil {
		return head + " " + m.Error
	}
	s := m.Result
	if r.plan.Mode == load.Idle {
		return fmt.Sprintf("%s %8.2f KB a session, CPU %.2f %%", head, s.Server.PerSession/1024, s.Server.CPUPercent)
	}
	line := fmt.Sprintf("%s %9.2f µs/%s %11.0f/s   p50 %s, p99 %s   (generator %.2f µs)", head, s.ServerMicros, r.unit(), s.PerSecond,
		micros(float64(s.Latency.P50)), micros(float64(s.Latency.P99)), s.OwnMicros)
	if s.Faults.Any() {
		line += "   " + s.Faults.String()
	}
	return line
}
