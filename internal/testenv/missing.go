package testenv

import (
	"os"
	"testing"
)

// requirePeers, set to anything, makes a missing peer a failure. Continuous integration sets it, so that
// nothing is skipped there.
const requirePeers = "GREENROOM_REQUIRE_PEERS"

// missing ends a test for want of something that the machine has not: it fails where peers are required
// and is skipped elsewhere, with the same sentence.
func missing(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(requirePeers) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format+" (skipped, because "+requirePeers+" is not set)", args...)
}
