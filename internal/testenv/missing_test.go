package testenv

import (
	"strings"
	"testing"
)

// What is missing skips a test on a developer's machine and fails it where peers are required, and names
// what to install either way.
func TestMissingPeers(t *testing.T) {
	needs := map[string]struct {
		fn   func(testing.TB)
		want []string
	}{
		"a Python module": {func(tb testing.TB) { Python(tb, "no_such_module_at_all") }, []string{"no_such_module_at_all", "GREENROOM_PYTHON"}},
		"a server": {func(tb testing.TB) { Program(tb, "no-such-server", "no-such-package") },
			[]string{"no-such-server", "no-such-package"}},
		"Node.js": {func(tb testing.TB) { Node(tb) }, []string{"Node.js 20"}},
	}
	for name, c := range needs {
		t.Run(name, func(t *testing.T) {
			t.Setenv("PATH", t.TempDir())
			t.Setenv(requirePeers, "")
			r := recorded(t, c.fn)
			if r.failure != "" {
				t.Errorf("failed with %q, want a skip", r.failure)
			}
			t.Setenv(requirePeers, "1")
			failed := recorded(t, c.fn)
			if failed.skipped != "" {
				t.Errorf("skipped with %q, want a failure", failed.skipped)
			}
			for _, want := range append(c.want, requirePeers) {
				if !strings.Contains(r.skipped, want) {
					t.Errorf("skipped with %q, want it to name %s", r.skipped, want)
				}
			}
			for _, want := range c.want {
				if !strings.Contains(failed.failure, want) {
					t.Errorf("failed with %q, want it to name %s", failed.failure, want)
				}
			}
		})
	}
}
