package e2e

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"testing"

	"greenroom/hub"
	"greenroom/transports/engineio"
	"greenroom/transports/socketio"
)

// page talks to Socket.IO on a bare WebSocket: it asks for a text to be sent back, compressed both ways by the browser
// and the server, and keeps what it gets.
const page = `<!doctype html><title>compressed</title><script>
const text = "hällo ".repeat(20000);
const got = [];
const ws = new WebSocket("ws://" + location.host + "/socket.io/?EIO=4&transport=websocket");
ws.onmessage = ({ data }) => {
  if (data[0] === "0") ws.send("40");
  else if (data.startsWith("40")) for (const t of [text, "short", "", text]) ws.send('42' + JSON.stringify(["echo", t]));
  else if (data === "2") ws.send("3");
  else got.push(JSON.parse(data.slice(2))[1]);
};
</script>`

// TestCompressedWebSocket has a browser negotiate permessage-deflate with a server of ours.
func TestCompressedWebSocket(t *testing.T) {
	h, err := hub.New(hub.Options{Logger: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	err = h.Handle("/", func(s *hub.Session) {
		for ev := range s.Events() {
			var text string
			if ev.Args(&text) == nil {
				_ = s.Emit("back", text) // the client may have left
			}
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	srv := socketio.New(h, socketio.Options{Engine: engineio.Options{PerMessageDeflate: &engineio.Deflate{}}})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", srv)
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, page) })
	web := httptest.NewServer(mux)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := srv.Close(ctx); err != nil {
			t.Error(err)
		}
		web.Close()
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	})
	p := open(t, browser(t), "compressed", web.URL)
	p.until(`got.length === 4 && got[0] === text && got[1] === "short" && got[2] === "" && got[3] === text`)
	p.until(`ws.extensions.startsWith("permessage-deflate")`)
}
