package msgpack

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The bounds of these tests.
const (
	depth    = 128
	binaries = 1000
)

// vector is a line of notepack.json; notepack.mjs says what the fields mean.
type vector struct {
	JS       string
	Hex      string
	JSON     string
	Binaries []string
	Same     bool
}

func (v vector) bytes(t testing.TB) []byte { return unhex(t, v.Hex) }

func (v vector) parts(t testing.TB) [][]byte {
	var out [][]byte
	for _, b := range v.Binaries {
		out = append(out, unhex(t, b))
	}
	return out
}

func vectors(t testing.TB) []vector {
	t.Helper()
	b, err := os.ReadFile("testdata/notepack.json")
	if err != nil {
		t.Fatal(err)
	}
	var all []vector
	if err := json.Unmarshal(b, &all); err != nil {
		t.Fatal(err)
	}
	return all
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// read reads exactly one value.
func read(b []byte) (Reader, error) {
	r := Reader{MaxDepth: depth, MaxBinaries: binaries}
	rest, err := r.Read(b)
	if err == nil && len(rest) > 0 {
		err = ErrMalformed
	}
	return r, err
}

func equal(a, b [][]byte) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !bytes.Equal(a[i], b[i]) {
			return false
		}
	}
	return true
}
