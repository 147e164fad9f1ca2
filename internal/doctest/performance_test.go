package doctest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What the page on performance names is there: benchmarks and tests in the package that it gives, and what it links to.
func TestPerformancePageNamesWhatIsThere(t *testing.T) {
	const page = "docs/performance.md"
	text := read(t, page)
	declared := map[string]index{}
	rows := 0
	for line := range strings.Lines(text) {
		cells := strings.Split(line, "|")
		if len(cells) != 5 || !strings.HasPrefix(cells[1], " `Benchmark") {
			continue
		}
		names := testName.FindAllStringSubmatch(cells[1], -1)
		rows++
		folder := strings.Trim(cells[2], " `")
		if declared[folder] == nil {
			declared[folder] = indexOf(t, folder)
		}
		for _, m := range names {
			if files := declared[folder][m[1]]; len(files) == 0 {
				t.Errorf("there is no %s in %s", m[1], folder)
			}
		}
	}
	if rows < 8 {
		t.Errorf("%d rows name benchmarks: is the page read rightly?", rows)
	}
	everywhere := indexOf(t, ".")
	for _, m := range testName.FindAllStringSubmatch(text, -1) {
		if len(everywhere[m[1]]) == 0 {
			t.Errorf("there is no %s", m[1])
		}
	}
	anchors := map[string]bool{}
	for _, m := range heading.FindAllStringSubmatch(text, -1) {
		anchors[anchor(m[1])] = true
	}
	for _, m := range link.FindAllStringSubmatch(text, -1) {
		target := m[2]
		if strings.HasPrefix(target, "#") {
			if !anchors[target[1:]] {
				t.Errorf("no heading %s", target)
			}
		} else if _, err := os.Stat(filepath.Join(root, "docs", target)); err != nil {
			t.Error(err)
		}
	}
}
