package main

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"

	"greenroom/coop/coophttp"
)

// serveMux is the app in net/http's own terms.
func serveMux(a *app) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /hello/{name}", func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, a.greet(r.PathValue("name")))
	})
	mux.HandleFunc("POST /sum", func(w http.ResponseWriter, r *http.Request) {
		var n numbers
		if err := json.NewDecoder(r.Body).Decode(&n); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		writeJSON(w, n.sum())
	})
	mux.HandleFunc("GET /ticks/{n}", func(w http.ResponseWriter, r *http.Request) {
		n, _ := strconv.Atoi(r.PathValue("n")) // none for what is no number
		for range n {
			if a.tick(coophttp.Greenlet(r), w) != nil {
				return // the client has gone, or the server stops
			}
			w.(http.Flusher).Flush()
		}
	})
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		a.wait(coophttp.Greenlet(r), w) // a client that has gone is nobody's business
	})
	mux.HandleFunc("POST /open", func(w http.ResponseWriter, r *http.Request) {
		a.gate.Set()
		w.WriteHeader(http.StatusNoContent)
	})
	mux.HandleFunc("GET /await/{id}", func(w http.ResponseWriter, r *http.Request) {
		text, err := a.await(coophttp.Greenlet(r), r.PathValue("id"))
		if err != nil {
			return // the server stops
		}
		io.WriteString(w, text)
	})
	mux.Handle("GET /report/{id}", a.blocking())
	mux.HandleFunc("GET /panic", func(http.ResponseWriter, *http.Request) { panic("as asked for") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a.count()
		mux.ServeHTTP(w, r)
	})
}

func writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	json.NewEncoder(w).Encode(v) // fails when the client has gone
}
