package main

import (
	"fmt"
	"net/http"

	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
)

// onChi mounts them in chi.
func onChi(io, live http.Handler, seen func(path string)) http.Handler {
	r := chi.NewRouter()
	r.Use(middleware.RequestID, middleware.Recoverer, func(next http.Handler) http.Handler {
		return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			seen(r.URL.Path)
			next.ServeHTTP(middleware.NewWrapResponseWriter(w, r.ProtoMajor), r) // as loggers do
		})
	})
	r.Handle("/socket.io/*", io)
	r.Route("/live", func(r chi.Router) {
		r.Handle("/socket.io/*", live)
	})
	r.Handle("/stripped/*", http.StripPrefix("/stripped", io))
	r.Get("/hello", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, "hello") })
	return r
}
