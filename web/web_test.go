package web

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var built = load(fstest.MapFS{
	".gitkeep":                        {},
	"index.html":                      {Data: []byte("<!doctype html>page")},
	"favicon.svg":                     {Data: []byte("<svg/>")},
	"assets/app-ABC.js":               {Data: []byte("app")},
	"assets/app-ABC.js.map":           {Data: []byte("{}")},
	"client/version":                  {Data: []byte("4.8.4\n")},
	"client/socket.io.js":             {Data: []byte("client")},
	"client/socket.io.msgpack.min.js": {Data: []byte("msgpack")},
	"client/notes.txt":                {Data: []byte("not for anybody")},
})

var unbuilt = load(fstest.MapFS{".gitkeep": {}})

func ask(h http.HandlerFunc, method, path string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h(w, r)
	return w
}

func TestPages(t *testing.T) {
	for _, c := range []struct {
		method, path string
		status       int
		kind, cache  string
		body         string
	}{
		{"GET", "/", 200, "text/html; charset=utf-8", revalidate, "<!doctype html>page"},
		{"HEAD", "/", 200, "text/html; charset=utf-8", revalidate, ""},
		{"GET", "/favicon.svg", 200, "image/svg+xml", revalidate, "<svg/>"},
		{"GET", "/assets/app-ABC.js", 200, "text/javascript; charset=utf-8", immutable, "app"},
		{"GET", "/assets/app-ABC.js.map", 200, "application/json; charset=utf-8", immutable, "{}"},
		{"GET", "/assets/", 404, "text/plain; charset=utf-8", "no-store", "There is nothing here. The chat demo is at /\n"},
		{"GET", "/assets", 404, "text/plain; charset=utf-8", "no-store", "There is nothing here. The chat demo is at /\n"},
		{"HEAD", "/nothing", 404, "text/plain; charset=utf-8", "no-store", ""},
		{"GET", "/.gitkeep", 404, "text/plain; charset=utf-8", "no-store", "There is nothing here. The chat demo is at /\n"},
		{"GET", "/client/socket.io.js", 404, "text/plain; charset=utf-8", "no-store", "There is nothing here. The chat demo is at /\n"},
		{"GET", "/../web.go", 404, "text/plain; charset=utf-8", "no-store", "There is nothing here. The chat demo is at /\n"},
		{"OPTIONS", "/", 204, "", "", ""},
		{"POST", "/", 405, "text/plain; charset=utf-8", "no-store", "Only GET and HEAD make sense here.\n"},
	} {
		w := ask(built.servePage, c.method, c.path)
		if w.Code != c.status || w.Header().Get("Content-Type") != c.kind ||
			w.Header().Get("Cache-Control") != c.cache || w.Body.String() != c.body {
			t.Errorf("%s %s: %d %q %q %q", c.method, c.path, w.Code,
				w.Header().Get("Content-Type"), w.Header().Get("Cache-Control"), w.Body)
		}
		if readable := c.method == "GET" || c.method == "HEAD"; readable && w.Header().Get("Content-Security-Policy") != policy {
			t.Errorf("%s %s: no content security policy", c.method, c.path)
		} else if !readable && w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s %s: Allow is %q", c.method, c.path, w.Header().Get("Allow"))
		}
	}
}

func TestPageIsRevalidated(t *testing.T) {
	tag := ask(built.servePage, "GET", "/").Header().Get("ETag")
	if w := ask(built.servePage, "GET", "/", "If-None-Match", tag); w.Code != 304 || w.Body.Len() != 0 {
		t.Errorf("same tag: %d with %d bytes", w.Code, w.Body.Len())
	}
	if w := ask(built.servePage, "GET", "/", "If-None-Match", `"other"`); w.Code != 200 {
		t.Errorf("other tag: %d", w.Code)
	}
	if other := ask(built.servePage, "GET", "/favicon.svg").Header().Get("ETag"); other == tag {
		t.Error("two files share a tag")
	}
}

// The header values are those of socket.io 4.8 (serveClient).
func TestClientBundles(t *testing.T) {
	w := ask(built.serveClient, "GET", "/socket.io/socket.io.js")
	if w.Code != 200 || w.Body.String() != "client" || w.Header().Get("ETag") != `"4.8.4"` ||
		w.Header().Get("Cache-Control") != "public, max-age=0" ||
		w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
		t.Errorf("%d %v %q", w.Code, w.Header(), w.Body)
	}
	for _, tag := range []string{`"4.8.4"`, `W/"4.8.4"`} {
		if w := ask(built.serveClient, "GET", "/socket.io/socket.io.js", "If-None-Match", tag); w.Code != 304 {
			t.Errorf("%s: %d", tag, w.Code)
		}
	}
	if w := ask(built.serveClient, "GET", "/chat/socket.io.msgpack.min.js"); w.Body.String() != "msgpack" {
		t.Errorf("under another path: %d %q", w.Code, w.Body)
	}
	if w := ask(built.serveClient, "HEAD", "/socket.io/socket.io.js"); w.Code != 200 || w.Body.Len() != 0 {
		t.Errorf("HEAD: %d with %d bytes", w.Code, w.Body.Len())
	}
	for _, name := range []string{"", "version", "notes.txt", "socket.io.min.js", "../index.html", "socket.io.js.br"} {
		if w := ask(built.serveClient, "GET", "/socket.io/"+name); w.Code != 404 {
			t.Errorf("%q: %d", name, w.Code)
		}
	}
}

func TestIsClient(t *testing.T) {
	for name, want := range map[string]bool{
		"/socket.io/socket.io.js": true, "/socket.io/socket.io.esm.min.js.map": true, "socket.io.msgpack.min.js": true,
		"/socket.io/": false, "/socket.io": false, "/socket.io/xsocket.io.js": false, "/socket.io.js/": true,
	} {
		if IsClient(name) != want {
			t.Errorf("%q: %v", name, !want)
		}
	}
}

func TestNotBuilt(t *testing.T) {
	if unbuilt.built() || !built.built() {
		t.Fatal("built is wrong")
	}
	w := ask(unbuilt.servePage, "GET", "/")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "make web") || !strings.Contains(w.Body.String(), "make run") {
		t.Errorf("page: %d %q", w.Code, w.Body)
	}
	if w := ask(unbuilt.servePage, "GET", "/x"); w.Code != 404 {
		t.Errorf("another page: %d", w.Code)
	}
	w = ask(unbuilt.serveClient, "GET", "/socket.io/socket.io.min.js")
	if w.Code != 503 || !strings.Contains(w.Body.String(), "make web") {
		t.Errorf("client: %d %q", w.Code, w.Body)
	}
	if w := ask(unbuilt.serveClient, "GET", "/socket.io/other.js"); w.Code != 404 {
		t.Errorf("another file: %d", w.Code)
	}
	half := load(fstest.MapFS{"index.html": {Data: []byte("x")}})
	if half.built() {
		t.Error("a dist without the client counts as built")
	}
}

// What this very binary carries is either whole or not there.
func TestEmbedded(t *testing.T) {
	w := ask(Handler().ServeHTTP, "GET", "/")
	if !Built() {
		if w.Code != 503 {
			t.Errorf("not built, but %d", w.Code)
		}
		return
	}
	pages := w.Body.String() + ask(Handler().ServeHTTP, "GET", "/ticker/").Body.String()
	for name := range site().pages {
		if strings.HasSuffix(name, ".js") && !strings.Contains(pages, strings.TrimPrefix(name, "/")) {
			t.Errorf("no page names %s", name)
		}
	}
	for _, name := range []string{"socket.io.js", "socket.io.min.js", "socket.io.esm.min.js", "socket.io.msgpack.min.js"} {
		for _, suffix := range []string{"", ".map"} {
			if w := ask(Client().ServeHTTP, "GET", "/socket.io/"+name+suffix); w.Code != 200 || w.Body.Len() == 0 {
				t.Errorf("%s%s: %d", name, suffix, w.Code)
			}
		}
	}
}
