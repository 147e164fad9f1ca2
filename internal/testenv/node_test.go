package testenv

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestRunNode(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	write("package.json", `{"name": "none", "version": "1.0.0"}`)
	write("package-lock.json", `{"name": "none", "version": "1.0.0", "lockfileVersion": 3, "packages": {"": {"name": "none", "version": "1.0.0"}}}`)
	write("good.mjs", `if (process.env.GREETING !== "hello") process.exit(1); console.log("one\ntwo")`)
	write("bad.mjs", `process.exit(7)`)

	RunNode(t, dir, "good.mjs", "GREETING=hello")
	if _, err := os.Stat(filepath.Join(dir, "node_modules", ".greenroom-lock")); err != nil {
		t.Error("the marker that saves the next npm ci is missing")
	}
	got := fatal(t, func(tb testing.TB) { RunNode(tb, dir, "bad.mjs") })
	if !strings.Contains(got, "bad.mjs") || !strings.Contains(got, "7") {
		t.Errorf("failed with %q", got)
	}
}

func TestLines(t *testing.T) {
	rec := &logger{TB: t}
	l := &lines{t: rec}
	for _, part := range []string{"on", "e\ntwo\nth", "ree"} {
		if _, err := l.Write([]byte(part)); err != nil {
			t.Fatal(err)
		}
	}
	l.flush()
	if got := strings.Join(rec.said, "|"); got != "one|two|three" {
		t.Errorf("logged %q", got)
	}
}

type logger struct {
	testing.TB
	said []string
}

func (l *logger) Log(args ...any) { l.said = append(l.said, args[0].(string)) }
