package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"

	"greenroom/coop/coophttp"
)

// chiRouter is the app in chi.
func chiRouter(a *app) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			a.count()
			next.ServeHTTP(w, r)
		})
	})
	r.Get("/hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, a.greet(chi.URLParam(r, "name")))
	})
	r.Post("/sum", func(w http.ResponseWriter, r *http.Request) {
		var n numbers
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, n.sum())
	})
	r.Get("/ticks/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(chi.URLParam(r, "n")) // none for what is no number
		for range n {
			if a.tick(coophttp.Greenlet(r), w) != nil {
				return // the client has gone, or the server stops
			}
			w.(http.Flusher).Flush()
		}
	})
	r.Get("/wait", func(w http.ResponseWriter, r *http.Request) {
		a.wait(coophttp.Greenlet(r), w) // a client that has gone is nobody's business
	})
	r.Post("/open", func(w http.ResponseWriter, r *http.Request) {
		a.gate.Set()
		w.WriteHeader(http.StatusNoContent)
	})
	r.Get("/await/{id}", func(w http.ResponseWriter, r *http.Request) {
		text, err := a.await(coophttp.Greenlet(r), chi.URLParam(r, "id"))
		if err != nil {
			return // the server stops
		}
		io.WriteString(w, text)
	})
	r.Method("GET", "/report/{id}", coophttp.Blocking(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, a.report(chi.URLParam(r, "id")))
	})))
	r.Get("/panic", func(http.ResponseWriter, *http.Request) { panic("as asked for") })
	return r
}
