package coop

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
)

//go:embed timeline.html
var timelinePage []byte

// timelineMark is where the page's data goes.
var timelineMark = []byte("/*DATA*/null")

// WriteHTML writes what has been recorded as one web page that needs nothing else: a row for each
// greenlet, its runs, what it waited for in between, and who woke it. The page zooms, shows details
// under the pointer, and can show the order of events instead of their time.
func (t *Trace) WriteHTML(w io.Writer, title string) error {
	data, err := json.Marshal(t.timeline(title)) // escapes <, > and &, so that no name ends the script
	if err != nil {
		return fmt.Errorf("write timeline: %w", err)
	}
	before, after, _ := bytes.Cut(timelinePage, timelineMark)
	for _, part := range [][]byte{before, data, after} {
		if _, err := w.Write(part); err != nil {
			return fmt.Errorf("write timeline: %w", err)
		}
	}
	return nil
}

// timeline is the page's data: small arrays instead of objects, because there are many.
type timeline struct {
	Title   string         `json:"title"`
	Reasons []string       `json:"reasons"`
	Loops   []timelineLoop `json:"loops"`
}

type timelineLoop struct {
	Name      string         `json:"name"`
	Lost      uint64         `json:"lost"`
	Greenlets []timelineRow  `json:"greenlets"`
	Runs      [][6]int64     `json:"runs"`  // row, begin, length, reason or -1 for the end, seq, index of the wake-up or -1
	Wakes     []timelineWake `json:"wakes"` // spawns too
}

type timelineRow struct {
	ID   uint64 `json:"id"`
	Name string `json:"name"`
}

type timelineWake struct {
	Row   int    `json:"row"`
	By    int    `json:"by"` // a row, or -1
	At    int64  `json:"at"`
	Seq   uint64 `json:"seq"`
	Spawn bool   `json:"spawn,omitempty"`
	Cause string `json:"cause,omitempty"`
}

func (t *Trace) timeline(title string) timeline {
	out := timeline{Title: title, Reasons: parkReasons[:], Loops: []timelineLoop{}}
	for _, p := range t.snapshot() {
		out.Loops = append(out.Loops, p.timeline())
	}
	return out
}

func (p tracePart) timeline() timelineLoop {
	l := timelineLoop{Name: p.loopName(), Lost: p.lost, Greenlets: []timelineRow{}, Runs: [][6]int64{}, Wakes: []timelineWake{}}
	rows := make(map[uint64]int)
	for i, id := range p.ids() {
		rows[id] = i
		l.Greenlets = append(l.Greenlets, timelineRow{ID: id, Name: p.greenletName(id)})
	}
	woken := make(map[uint64]int64)
	for _, ev := range p.events {
		row := rows[ev.Greenlet]
		if ev.Kind == TraceRun {
			why := int64(ev.Why)
			if ev.Ended {
				why = -1
			}
			wake, ok := woken[ev.Greenlet]
			if !ok {
				wake = -1
			}
			delete(woken, ev.Greenlet)
			l.Runs = append(l.Runs, [6]int64{int64(row), int64(ev.At), int64(ev.For), why, int64(ev.Seq), wake})
			continue
		}
		by, ok := rows[ev.By]
		if !ok {
			by = -1
		}
		woken[ev.Greenlet] = int64(len(l.Wakes))
		l.Wakes = append(l.Wakes, timelineWake{
			Row: row, By: by, At: int64(ev.At), Seq: ev.Seq, Spawn: ev.Kind == TraceSpawn, Cause: ev.Cause,
		})
	}
	return l
}
