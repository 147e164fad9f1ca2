package main

import (
	"fmt"
	"net/http"
)

// onServeMux mounts them in net/http.
func onServeMux(io, live http.Handler, seen func(path string)) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", io)
	mux.Handle("/live/socket.io/", live)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", io))
	mux.HandleFunc("GET /hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen(r.URL.Path)
		mux.ServeHTTP(w, r)
	})
}
