package testenv

import (
	"path/filepath"
	"runtime"
	"testing"
)

// JS is the folder of scripts that drive a server with the official JavaScript client:
//
//	relay.test.mjs   the built-in session handler, over every transport of the client
//
// They read the server's address from $GREENROOM_URL.
func JS(t testing.TB) string {
	t.Helper()
	_, file, _, ok := runtime.Caller(0)
	if !ok || !filepath.IsAbs(file) {
		t.Fatal("finding the folder of the client scripts: run the tests without -trimpath")
	}
	return filepath.Join(filepath.Dir(file), "js")
}
