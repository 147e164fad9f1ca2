package testenv

import (
	"path/filepath"
	"runtime"
	"testing"
)

// JS is the folder of scripts that drive a server with the official JavaScript client:
//
//	relay.test.mjs     the built-in session handler
//	session.test.mjs   sessions of an application, which the tests of transports/socketio provide
//	deflate.test.mjs   compressed WebSocket messages, likewise
//	api.test.mjs       what an application does with many sessions and namespaces, likewise
//	recovery.test.mjs  clients that are cut off and come back, likewise
//	bundle.test.mjs    the same sessions, from the browser's bundle with the msgpack parser
//
// They read the server's address from $GREENROOM_URL and use every transport of the client, or the one that
// $GREENROOM_TRANSPORT names: websocket, polling or upgrade. With $GREENROOM_PARSER=msgpack packets are written by
// socket.io-msgpack-parser. $GREENROOM_PATH is for a server that is mounted
// elsewhere than under /socket.io/; relay.test.mjs alone knows it.
func JS(t testing.TB) string {
	t.Helper()
	return filepath.Join(here(t), "js")
}

// here is the folder of this file.
func here(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("finding the project's folder: run the tests without -trimpath")
	}
	return filepath.Dir(file)
}
