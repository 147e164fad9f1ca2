package socketio

import (
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// TestLegacyBrowsers has the same clients in Chromium, where they poll with binary bodies, and by JSONP.
func TestLegacyBrowsers(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Chromium")
	}
	chromium := testenv.Program(t, "chromium", "chromium")
	dir, err := filepath.Abs("testdata/clients")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	o := allowed()
	o.server.Engine.PingInterval = 300 * time.Millisecond
	o.server.Engine.CloseTimeout = time.Second // for polls that will not come: the browser has ended
	f := serve(t, o)
	f.handle(t, "/", func(s *hub.Session) error {
		if err := s.Emit("hello", s.ID()); err != nil {
			return err
		}
		for ev := range s.Events() {
			var err error
			switch ev.Name {
			case "message":
				err = s.Emit("message-back", arguments(ev)...)
			case "ack":
				err = ev.Ack(arguments(ev)...)
			case "friend":
				text := "é€😀"
				if arguments(ev)[0] == true {
					text = "plain"
				}
				err = s.Hub().Of("/").To(s.ID()).Emit("said", text, []byte{1, 2})
			}
			if err != nil {
				return err
			}
		}
		return nil
	})

	results := make(chan string)
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", f.sio)
	mux.HandleFunc("GET /all", func(w http.ResponseWriter, r *http.Request) {
		http.ServeFile(w, r, filepath.Join(dir, "browsers.html"))
	})
	for _, client := range []string{"client1", "client2"} {
		mux.HandleFunc("GET /"+client+"/page", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, "browser.html"))
		})
		mux.HandleFunc("GET /"+client+"/client.js", func(w http.ResponseWriter, r *http.Request) {
			http.ServeFile(w, r, filepath.Join(dir, "node_modules", client, "dist", "socket.io.js"))
		})
	}
	mux.HandleFunc("POST /result", func(_ http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(nil, r.Body, 1<<20))
		if err != nil {
			t.Error(err)
		}
		select {
		case results <- string(body):
		case <-r.Context().Done():
		}
	})
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		web.CloseClientConnections()
		web.Close()
	})
	testenv.Start(t, testenv.Command{Path: chromium, Args: []string{
		"--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-sync", "--disable-background-networking",
		"--disable-component-update", "--user-data-dir=" + t.TempDir(), "--remote-debugging-port=0", web.URL + "/all",
	}})
	for _, client := range []string{"client1", "client2"} {
		for _, how := range []string{"websocket", "polling", "upgrade", "jsonp"} {
			select {
			case got := <-results:
				if want := client + "/" + how + ": ok"; got != want {
					t.Errorf("%s, wanted %s", got, want)
				}
			case <-time.After(time.Minute):
				t.Fatalf("%s/%s says nothing", client, how)
			}
		}
	}
}
