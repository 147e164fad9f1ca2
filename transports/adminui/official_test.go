package adminui

import (
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"greenroom/hub"
	"greenroom/internal/testenv"
	"greenroom/transports/socketio"
)

// TestOfficialClient has the official client say what the pages say, to a server of ours and to one that is instrumented
// by the official package, so that the script asks nothing of us that does not hold there.
func TestOfficialClient(t *testing.T) {
	if testing.Short() {
		t.Skip("starts Node.js")
	}
	dir, err := filepath.Abs("testdata/official")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	hash := hashOf(t, "sesame")
	for _, parser := range []socketio.Parser{socketio.JSON, socketio.Msgpack} {
		node := nodeServer(t, dir, parser.String(), hash)
		for _, transport := range []string{"websocket", "polling", "upgrade"} {
			run := func(t *testing.T, url string) {
				testenv.RunNode(t, dir, "admin.test.mjs", "GREENROOM_URL="+url, "GREENROOM_PARSER="+parser.String(), "GREENROOM_TRANSPORT="+transport)
			}
			t.Run("Node.js/"+parser.String()+"/"+transport, func(t *testing.T) { run(t, node) })
			t.Run("greenroom/"+parser.String()+"/"+transport, func(t *testing.T) {
				o := Options{Username: "admin", Hash: hash, ServerID: "here", Interval: 2 * time.Second}
				run(t, serveWith(t, socketio.Options{Parser: parser}, hub.Options{}, o).url)
			})
		}
	}
}

// nodeServer starts server.mjs.
func nodeServer(t *testing.T, dir, parser, hash string) (url string) {
	t.Helper()
	port := strconv.Itoa(testenv.FreePort(t))
	testenv.Start(t, testenv.Command{
		Path:  testenv.Node(t),
		Args:  []string{"server.mjs"},
		Dir:   dir,
		Env:   []string{"PORT=" + port, "GREENROOM_PARSER=" + parser, "ADMIN_HASH=" + hash},
		Ready: testenv.ReadyTCP("127.0.0.1:" + port),
	})
	return "http://127.0.0.1:" + port
}
