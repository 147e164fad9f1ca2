package main

import (
	"io"
	"net/http"
	"time"

	"greenroom/coop"
	"greenroom/coop/coophttp"
)

// app is what the handlers share. They run on one loop, one at a time until they park, so nothing here has a
// lock. Loop only, but for report.
type app struct {
	requests int
	gate     coop.Event
	report   func(id string) string // blocks
}

// count is the middleware of all.
func (a *app) count() { a.requests++ }

type greeting struct {
	Hello    string `json:"hello"`
	Requests int    `json:"requests"`
}

func (a *app) greet(name string) greeting { return greeting{name, a.requests} }

type numbers struct {
	Numbers []int `json:"numbers"`
}

type sum struct {
	Sum int `json:"sum"`
}

func (n numbers) sum() (s sum) {
	for _, i := range n.Numbers {
		s.Sum += i
	}
	return s
}

// tick waits a moment, in greenlet g, and writes a line.
func (a *app) tick(g *coop.Greenlet, w io.Writer) error {
	if err := g.Sleep(time.Millisecond); err != nil {
		return err
	}
	_, err := io.WriteString(w, "tick\n")
	return err
}

// wait writes a line that the client has at once, and another when somebody has asked for /open.
func (a *app) wait(g *coop.Greenlet, w http.ResponseWriter) error {
	io.WriteString(w, "waiting\n") // the last Write tells
	if err := http.NewResponseController(w).Flush(); err != nil {
		return err
	}
	if err := a.gate.Wait(g); err != nil {
		return err // the server stops
	}
	_, err := io.WriteString(w, "open\n")
	return err
}

// await has what blocks run on a goroutine, while g waits for it.
func (a *app) await(g *coop.Greenlet, id string) (string, error) {
	return coop.Await(g, func() (string, error) { return a.report(id), nil })
}

// blocking is a whole handler on a goroutine: it may block wherever it likes, and touch nothing of the loop's.
func (a *app) blocking() http.Handler {
	return coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, a.report(r.PathValue("id")))
	}))
}
