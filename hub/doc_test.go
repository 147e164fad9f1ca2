package hub

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The guide lists every reason that this package counts, and no other.
func TestCountersAreDocumented(t *testing.T) {
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var source strings.Builder
	for _, f := range files {
		if f == "doc.go" || strings.HasSuffix(f, "_test.go") {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		source.Write(text)
	}
	guide, err := os.ReadFile("doc.go")
	if err != nil {
		t.Fatal(err)
	}
	listed := make(map[string]bool)
	for _, m := range regexp.MustCompile(`(?m)^//\t([a-z]+_[a-z_]+)  +[a-z]`).FindAllStringSubmatch(string(guide), -1) {
		if listed[m[1]] = true; !strings.Contains(source.String(), `"`+m[1]+`"`) {
			t.Errorf("%s is listed, and nothing counts it", m[1])
		}
	}
	for _, m := range regexp.MustCompile(`\bCount\("(\w+)"\)`).FindAllStringSubmatch(source.String(), -1) {
		if !listed[m[1]] {
			t.Errorf("%s is not listed", m[1])
		}
	}
}
