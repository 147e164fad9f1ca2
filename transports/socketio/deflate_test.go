package socketio

import (
	"errors"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/engineio"
)

// TestOfficialClientCompressed has socket.io-client, under Node.js, exchange compressed messages with a server of ours:
// in a script of its own, and in what the client does without compression, where every message is then compressed.
func TestOfficialClientCompressed(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir := testenv.JS(t)
	for _, transport := range []string{"websocket", "upgrade"} {
		var o settings
		o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
		o.server.Engine.PerMessageDeflate = &engineio.Deflate{}
		t.Run(transport, func(t *testing.T) {
			f := serve(t, o)
			f.handle(t, "/", deflateApp)
			testenv.RunNode(t, dir, "deflate.test.mjs", "GREENROOM_URL="+f.url, "GREENROOM_TRANSPORT="+transport)
		})
		t.Run(transport+"/session.test.mjs", func(t *testing.T) {
			o := o
			o.server.Engine.PerMessageDeflate = &engineio.Deflate{Threshold: 1}
			f := serve(t, o)
			p := newCutter(t, f.url)
			officialApp(t, f, p)
			testenv.RunNode(t, dir, "session.test.mjs", "GREENROOM_URL="+p.url, "GREENROOM_TRANSPORT="+transport)
		})
	}
}

// deflateApp is what deflate.test.mjs talks to.
func deflateApp(s *hub.Session) error {
	var order []any
	for ev := range s.Events() {
		args := arguments(ev)
		var err error
		switch ev.Name {
		case "echo":
			if len(args) == 2 {
				order = append(order, args[0])
			}
			err = ev.Ack(args...)
		case "order":
			err = ev.Ack(order)
		case "cast", "cast uncompressed":
			to := s.Hub().To().Compress(ev.Name == "cast")
			err = errors.Join(to.Emit("news", args...), ev.Ack())
		}
		if err != nil && !errors.Is(err, hub.ErrGone) {
			return err
		}
	}
	return nil
}
