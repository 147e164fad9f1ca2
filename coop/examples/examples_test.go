package examples

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// TestPrograms builds and runs every example and compares what it prints with testdata, byte for byte.
func TestPrograms(t *testing.T) {
	bin := t.TempDir()
	build := exec.Command("go", "build", "-o", bin+string(filepath.Separator), "./...")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("go build: %v\n%s", err, out)
	}
	for _, name := range []string{"basic", "periods"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			want, err := os.ReadFile(filepath.Join("testdata", name+".txt"))
			if err != nil {
				t.Fatal(err)
			}
			var stdout, stderr bytes.Buffer
			program := exec.Command(filepath.Join(bin, name))
			program.Stdout, program.Stderr = &stdout, &stderr
			if err := program.Run(); err != nil {
				t.Fatalf("%v\n%s", err, stderr.Bytes())
			}
			if !bytes.Equal(stdout.Bytes(), want) {
				t.Errorf("printed\n%s\nwant\n%s", stdout.Bytes(), want)
			}
			if stderr.Len() > 0 {
				t.Errorf("standard error: %s", stderr.Bytes())
			}
		})
	}
}
