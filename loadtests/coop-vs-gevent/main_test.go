package main

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"strings"
	"testing"
)

// Every row does its work, on a small scale. What it costs is nobody's business here.
func TestRows(t *testing.T) {
	before := sleeping
	sleeping = 50
	defer func() { sleeping = before }()
	for _, r := range rows {
		for side, measure := range r.goSides {
			t.Run(r.key+"/"+side, func(t *testing.T) {
				n := 50
				if r.key == "yield1000" {
					n = crowd
				}
				v, err := measure(n)
				if errors.Is(err, fs.ErrNotExist) {
					t.Skip("memory is read from /proc")
				}
				if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
					t.Errorf("%v, %v", v, err)
				}
			})
		}
	}
}

// The script for gevent knows the same rows, and has as many asleep.
func TestScriptHasTheSameRows(t *testing.T) {
	for _, r := range rows {
		if !strings.Contains(rowsPy, fmt.Sprintf("        %q: lambda: ", r.key)) {
			t.Errorf("no row %q in rows.py", r.key)
		}
	}
	if !strings.Contains(rowsPy, fmt.Sprintf("SLEEPING = %d_000\n", sleeping/1000)) {
		t.Errorf("not %d asleep in rows.py", sleeping)
	}
}

func TestTable(t *testing.T) {
	var b strings.Builder
	figures := map[string][]float64{"gevent": {1234.5}, "goroutines": {50}, "coop": {100}, "iter.Pull": {math.NaN()}}
	printRow(&b, "cost", nanoseconds, figures, 0, false)
	printRow(&b, "rate", perSecond, figures, 0, true)
	delete(figures, "gevent")
	printRow(&b, "size", kilobytes, figures, 0, false)
	want := `| cost | 1230 ns | 50 ns | 100 ns |  | 12 × | 0.5 × |
| rate | 1230 | 50 | 100 |  | 0.1 × | 2.0 × |
| size |  | 0.0 KB | 0.1 KB |  |  | 0.5 × |
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}
}
