package doctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What README.md shows of coop is the package's first example, which is run.
func TestReadmeShowsTheExampleOfCoop(t *testing.T) {
	readme := read(t, "README.md")
	_, shown, ok := strings.Cut(readme, "```go\ncoop.Run(")
	shown, _, closed := strings.Cut(shown, "```\n")
	if !ok || !closed {
		t.Fatal("README.md does not show coop.Run")
	}
	_, example, ok := strings.Cut(read(t, "coop/example_readme_test.go"), "\tcoop.Run(")
	example, _, closed = strings.Cut(example, "\t// Output:")
	if !ok || !closed {
		t.Fatal("no example")
	}
	if example = strings.ReplaceAll(example, "\n\t", "\n"); example != shown {
		t.Errorf("README.md shows\n%s\nand the example is\n%s", shown, example)
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
