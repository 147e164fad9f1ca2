package frameworks

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// The page's pieces of code stand in the programs, or their tests, as they are.
func TestPage(t *testing.T) {
	page, err := os.ReadFile("../../../docs/frameworks.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*/*.go")
	if err != nil {
		t.Fatal(err)
	}
	var programs strings.Builder
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		programs.Write(text)
	}
	pieces := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(string(page), -1)
	if len(pieces) < 15 {
		t.Errorf("%d pieces of code: is the page read rightly?", len(pieces))
	}
	for _, p := range pieces {
		if !strings.Contains(programs.String(), p[1]) {
			t.Errorf("in no program:\n%s", p[1])
		}
	}
}
