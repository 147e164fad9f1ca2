package main

import (
	"net"
	"net/http"
	"strconv"
	"time"

	"greenroom/coop"
)

const (
	traceDefault = 3 * time.Second
	traceMax     = 30 * time.Second
)

// debugRoutes shows what the greenlets do: /debug/greenlets lists them, /debug/trace records them for some
// seconds and answers with a timeline.
func (s *server) debugRoutes(mux *http.ServeMux) {
	mux.Handle("GET /debug/greenlets", s.local(s.serveGreenlets))
	mux.Handle("GET /debug/trace", s.local(s.serveTrace))
}

// local lets only those in who sit at the machine, unless --debug says otherwise. A request that a proxy
// has passed on comes from anywhere.
func (s *server) local(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host, _, _ := net.SplitHostPort(r.RemoteAddr)
		proxied := r.Header.Get("Forwarded") != "" || r.Header.Get("X-Forwarded-For") != ""
		if !s.debug && (proxied || !loopback(host)) {
			plain(w, http.StatusForbidden, "only for requests from the machine itself; --debug opens it")
			return
		}
		next(w, r)
	})
}

func (s *server) serveGreenlets(w http.ResponseWriter, r *http.Request) {
	stacks, _ := strconv.ParseBool(r.FormValue("stacks"))
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if err := coop.Dump(w, coop.DumpOptions{Stacks: stacks}, s.hub.Loops().All()...); err != nil {
		s.log.Debug("writing the greenlets", "error", err) // whoever asked is gone
	}
}

// serveTrace answers with a page, or with ?format=json with a file for Perfetto. One at a time: a loop has
// one trace.
func (s *server) serveTrace(w http.ResponseWriter, r *http.Request) {
	d := traceDefault
	if text := r.FormValue("seconds"); text != "" {
		n, err := strconv.ParseFloat(text, 64)
		if err != nil || !(n > 0 && n <= traceMax.Seconds()) {
			plain(w, http.StatusBadRequest, "seconds: a number up to "+strconv.Itoa(int(traceMax.Seconds())))
			return
		}
		d = time.Duration(n * float64(time.Second))
	}
	if !s.tracing.TryLock() {
		plain(w, http.StatusConflict, "a trace is being recorded already")
		return
	}
	defer s.tracing.Unlock()
	trace := coop.NewTrace(coop.TraceOptions{})
	trace.Start(s.hub.Loops().All()...)
	timer := time.NewTimer(d)
	select {
	case <-timer.C:
	case <-r.Context().Done():
	case <-s.quit:
	}
	timer.Stop()
	trace.Stop()

	w.Header().Set("Cache-Control", "no-store")
	write := func() error { return trace.WriteHTML(w, "Greenroom, "+d.String()) }
	contentType := "text/html; charset=utf-8"
	if r.FormValue("format") == "json" {
		write, contentType = func() error { return trace.WriteJSON(w) }, "application/json"
		w.Header().Set("Content-Disposition", `attachment; filename="greenroom-trace.json"`)
	}
	w.Header().Set("Content-Type", contentType)
	if err := write(); err != nil {
		s.log.Debug("writing a trace", "error", err) // whoever asked is gone
	}
}
