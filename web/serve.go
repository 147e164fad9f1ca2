package web

import (
	_ "embed"
	"net/http"
	"path"
	"time"
)

// policy lets the page load its own script, style and pictures, talk to its own server, and nothing
// else; markup made from strings is refused by browsers that know Trusted Types.
const policy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; " +
	"connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; " +
	"require-trusted-types-for 'script'"

//go:embed unbuilt.html
var unbuiltPage []byte

const unbuiltClient = "The Socket.IO client bundles are not in this binary, because it was built without them.\n" +
	"Run `make web` (it needs Node.js with npm), build again, and they are here.\n" +
	"Any published socket.io-client 4.x works as well; the server itself needs none of them.\n"

func (s *files) servePage(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	if !s.built() {
		// This page has its few lines of style inside.
		h.Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		if r.URL.Path != "/" {
			plain(w, r, http.StatusNotFound, "There is nothing here.\n")
			return
		}
		h.Set("Content-Type", "text/html; charset=utf-8")
		answer(w, r, http.StatusServiceUnavailable, unbuiltPage)
		return
	}
	h.Set("Content-Security-Policy", policy)
	f, ok := s.pages[r.URL.Path]
	if !ok {
		plain(w, r, http.StatusNotFound, "There is nothing here. The chat demo is at /\n")
		return
	}
	serve(w, r, &f)
}

func (s *files) serveClient(w http.ResponseWriter, r *http.Request) {
	if !readOnly(w, r) {
		return
	}
	h := w.Header()
	h.Set("X-Content-Type-Options", "nosniff")
	name := path.Base(r.URL.Path)
	f, ok := s.client[name]
	switch {
	case ok:
		// Pages of other origins load the client from here, as they do from the Node.js server.
		h.Set("Cross-Origin-Resource-Policy", "cross-origin")
		serve(w, r, &f)
	case !s.built() && IsClient(name):
		plain(w, r, http.StatusServiceUnavailable, unbuiltClient)
	default:
		plain(w, r, http.StatusNotFound, "There is no such client bundle.\n")
	}
}

// serve answers with conditional and range requests handled by net/http.
func serve(w http.ResponseWriter, r *http.Request, f *file) {
	h := w.Header()
	h.Set("Content-Type", f.contentType)
	h.Set("Cache-Control", f.cache)
	h.Set("ETag", f.etag)
	http.ServeContent(w, r, "", time.Time{}, f.reader())
}

// readOnly answers everything but GET and HEAD itself, and then reports false.
func readOnly(w http.ResponseWriter, r *http.Request) bool {
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		return true
	case http.MethodOptions:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Allow", "GET, HEAD, OPTIONS")
		plain(w, r, http.StatusMethodNotAllowed, "Only GET and HEAD make sense here.\n")
	}
	return false
}

func plain(w http.ResponseWriter, r *http.Request, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	answer(w, r, status, []byte(text))
}

// answer writes something that must not be kept by caches.
func answer(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may be gone; there is nobody to tell
	}
}
