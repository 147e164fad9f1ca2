package socketio

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
)

// TestOfficialClientOverTLS is TestOfficialClient with https and wss.
func TestOfficialClientOverTLS(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, authority := testenv.JS(t), testenv.NewAuthority(t)
	for _, script := range []string{"relay.test.mjs", "session.test.mjs"} {
		for _, transport := range []string{"websocket", "polling", "upgrade"} {
			t.Run(script+"/"+transport, func(t *testing.T) {
				var o settings
				o.tls = authority
				o.server.Engine.CloseTimeout = time.Second // for polls that will not come: Node.js has ended
				f := serve(t, o)
				p := newCutter(t, f.url)
				f.handle(t, "/", hub.Relay(hub.RelayOptions{}))
				officialApp(t, f, p)
				testenv.RunNode(t, dir, script, "GREENROOM_URL="+p.url, "GREENROOM_TRANSPORT="+transport,
					"NODE_EXTRA_CA_CERTS="+authority.File)
			})
		}
	}
}

// TestRoomOverBothKinds: one room, some of its members over TLS and the others not. They hear the same, in the same
// order, small messages and such as need many records, and TLS costs no goroutine.
func TestRoomOverBothKinds(t *testing.T) {
	const members, messages = 20, 60
	plain := serveEcho(t, settings{})
	secure := plain.overTLS(t)
	plain.join(t, "/") // what is started once, is started
	before := runtime.NumGoroutine()
	var all []*client
	for i := range members {
		f := plain
		if i%2 == 0 {
			f = secure
		}
		c, _ := f.join(t, "/")
		c.send(`420["join","room"]`)
		c.want(`430["ok"]`)
		all = append(all, c)
	}
	plain.left(t, members+1)
	if !portable {
		// A session's greenlet is a goroutine for the runtime; of net/http's none is left.
		eventually(t, "net/http's goroutines to end", func() bool { return runtime.NumGoroutine() <= before+members+members/4 })
	}
	var said []string
	heard := make([]int, members)
	hear := func(who int) {
		for ; heard[who] < len(said); heard[who]++ {
			all[who].want(said[heard[who]])
		}
	}
	for i := range messages {
		size := i % 7
		if i%10 == 0 {
			size = 200_000
		}
		args := fmt.Sprintf(`%d,"%s"]`, i, strings.Repeat("é", size))
		said = append(said, `42["said",`+args)
		all[i%members].send(`42["say","room",` + args)
		hear(i % members) // what different clients send has no order
	}
	for who, c := range all {
		hear(who)
		c.alive()
	}
}

// overTLS is the same server, which is also behind a listener that speaks TLS.
func (f *fixture) overTLS(t testing.TB) *fixture {
	t.Helper()
	g := &fixture{hub: f.hub, sio: f.sio}
	g.listen(t, testenv.NewAuthority(t))
	return g
}

// renegotiate opens a session with TLS 1.2 and then wants to make the handshake once more.
const renegotiate = `
const { connect } = require("node:tls");
const url = new URL(process.env.GREENROOM_URL);
const s = connect({ host: url.hostname, port: url.port, maxVersion: "TLSv1.2" });
s.on("error", () => {}); // the server ends it
s.on("secureConnect", () => s.write("GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n" +
  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"));
let got = "";
s.on("data", (data) => {
  if (got.includes('"sid"')) return;
  got += data;
  if (got.includes('"sid"')) s.renegotiate({}, (err) => { if (!err) { console.log("renegotiated"); process.exit(1); } });
});
s.on("close", () => process.exit(got.includes('"sid"') ? 0 : 2));
`

// TestRenegotiation: TLS 1.2 knows it, and clients have no need of it; it ends the connection, and no other.
func TestRenegotiation(t *testing.T) {
	f := serveEcho(t, settings{tls: testenv.NewAuthority(t)})
	other, _ := f.join(t, "/")
	p := testenv.Start(t, testenv.Command{Path: testenv.Node(t), Args: []string{"-e", renegotiate},
		Env: []string{"GREENROOM_URL=" + f.url, "NODE_TLS_REJECT_UNAUTHORIZED=0"}})
	select {
	case <-p.Done():
	case <-time.After(patience):
		t.Fatal("the connection stays")
	}
	if err := p.Stop(); err != nil {
		t.Errorf("%v: %s", err, p.Output())
	}
	f.left(t, 1)
	other.alive()
}
