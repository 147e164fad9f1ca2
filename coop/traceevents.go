package coop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"
)

// Processes of the trace-event file: greenlets have a track each in one, loops in the other.
const (
	pidGreenlets = 1
	pidLoops     = 2
)

// WriteJSON writes what has been recorded as trace-event JSON, which ui.perfetto.dev and Chrome's
// chrome://tracing open: a track for each greenlet, with what it parked for at the end of each run
// and an arrow from whoever woke it, and a track for each loop that shows whose turn it was.
// Source: the Trace Event Format of the Chromium project.
func (t *Trace) WriteJSON(w io.Writer) error {
	e := &eventWriter{w: bufio.NewWriter(w)}
	e.raw(`{"displayTimeUnit":"ns","traceEvents":[` + "\n")
	e.meta("process_name", pidGreenlets, 0, "greenlets")
	e.meta("process_name", pidLoops, 0, "loops")
	for _, p := range t.snapshot() {
		e.part(p)
	}
	e.raw("\n]}\n")
	if e.err != nil {
		return fmt.Errorf("write trace: %w", e.err)
	}
	if err := e.w.Flush(); err != nil {
		return fmt.Errorf("write trace: %w", err)
	}
	return nil
}

// eventWriter keeps the first error.
type eventWriter struct {
	w     *bufio.Writer
	any   bool
	flows uint64
	err   error
}

func (e *eventWriter) raw(s string) {
	if e.err == nil {
		_, e.err = e.w.WriteString(s)
	}
}

// event is one record of the format. Times are microseconds.
type event struct {
	Name  string         `json:"name"`
	Phase string         `json:"ph"`
	Cat   string         `json:"cat,omitempty"`
	PID   int            `json:"pid"`
	TID   uint64         `json:"tid"`
	TS    float64        `json:"ts"`
	Dur   *float64       `json:"dur,omitempty"`
	ID    uint64         `json:"id,omitempty"`
	Bind  string         `json:"bp,omitempty"`
	Scope string         `json:"s,omitempty"`
	Args  map[string]any `json:"args,omitempty"`
}

func micros(d time.Duration) float64 { return float64(d.Nanoseconds()) / 1e3 }

func (e *eventWriter) put(v event) {
	if e.any {
		e.raw(",\n")
	}
	e.any = true
	b, err := json.Marshal(v)
	if err != nil {
		e.err = err
		return
	}
	e.raw(string(b))
}

func (e *eventWriter) meta(name string, pid int, tid uint64, value any) {
	key := "name"
	if name == "thread_sort_index" {
		key = "sort_index"
	}
	e.put(event{Name: name, Phase: "M", PID: pid, TID: tid, Args: map[string]any{key: value}})
}

func (e *eventWriter) part(p tracePart) {
	e.meta("thread_name", pidLoops, uint64(p.loop), p.loopName())
	if p.lost > 0 && len(p.events) > 0 {
		e.put(event{
			Name: fmt.Sprintf("%d older events were not kept", p.lost), Phase: "i", Scope: "t",
			PID: pidLoops, TID: uint64(p.loop), TS: micros(p.events[0].At),
		})
	}
	for _, id := range p.ids() {
		e.meta("thread_name", pidGreenlets, id, p.greenletName(id))
		e.meta("thread_sort_index", pidGreenlets, id, id)
	}
	// A flow starts within the waker's slice and ends where the woken one's begins. The slice of a
	// waker is recorded after its wake-ups, but viewers put events in order of time.
	type wake struct {
		flow uint64
		TraceEvent
	}
	pending := make(map[uint64]wake)
	for _, ev := range p.events {
		switch ev.Kind {
		case TraceSpawn, TraceWake:
			e.flows++
			pending[ev.Greenlet] = wake{e.flows, ev}
			if ev.By != 0 {
				e.put(event{Name: "wake", Cat: "wake", Phase: "s", PID: pidGreenlets, TID: ev.By, TS: micros(ev.At), ID: e.flows})
			}
		case TraceRun:
			dur := micros(ev.For)
			args := map[string]any{"then": ev.then()}
			if by, ok := pending[ev.Greenlet]; ok {
				delete(pending, ev.Greenlet)
				if by.By != 0 {
					args["woken by"] = p.greenletName(by.By)
					e.put(event{Name: "wake", Cat: "wake", Phase: "f", Bind: "e", PID: pidGreenlets, TID: ev.Greenlet, TS: micros(ev.At), ID: by.flow})
				} else {
					args["woken by"] = by.Cause
				}
			}
			e.put(event{Name: ev.then(), Cat: "run", Phase: "X", PID: pidGreenlets, TID: ev.Greenlet, TS: micros(ev.At), Dur: &dur, Args: args})
			e.put(event{Name: p.greenletName(ev.Greenlet), Cat: "turn", Phase: "X", PID: pidLoops, TID: uint64(p.loop), TS: micros(ev.At), Dur: &dur})
		}
	}
}

// then is what became of the greenlet after a run.
func (ev TraceEvent) then() string {
	if ev.Ended {
		return "end"
	}
	return ev.Why.String()
}

func (p tracePart) loopName() string {
	if p.name == "" {
		return fmt.Sprintf("loop %d", p.loop)
	}
	return p.name
}

func (p tracePart) greenletName(id uint64) string {
	if g, ok := p.greenlets[id]; ok {
		return g.name
	}
	return fmt.Sprintf("greenlet-%d", id)
}

// ids lists the greenlets that occur in the events, oldest first.
func (p tracePart) ids() []uint64 {
	seen := make(map[uint64]struct{})
	for _, ev := range p.events {
		seen[ev.Greenlet] = struct{}{}
	}
	ids := make([]uint64, 0, len(seen))
	for id := range seen {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	return ids
}
