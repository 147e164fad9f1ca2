package hub

import "testing"

// Whatever a client says is its offset, reading it does no harm, and what is read means one position.
func FuzzOffset(f *testing.F) {
	h := newTestHub(f, Options{Loops: 1, Recovery: &Recovery{}})
	rec := h.Of("/").recovery
	rec.epoch = "abcd"
	rec.seq.Store(1 << 40)
	for _, seed := range []string{
		"", "abcd", "abcd1", "abcd1.2", "abcd2.1", "abcd.", "abcd1.", "abcd1.2.3", "abcd-1", "abcd+1", "abcd0", "abcd0.1",
		"abcd1_0", "abcdZZ", "abcdzzzzzzzzzzzzz", "abcdzzzzzzzzzzzzzz", "abc", "abcd 1", "abcd１", "hello",
	} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, offset string) {
		p, ok := rec.position(offset)
		if !ok {
			return
		}
		if max(p.major, p.minor) > rec.seq.Load() || p.minor > 0 && p.minor <= p.major || p == (position{}) {
			t.Fatalf("%q is %+v, which cannot be", offset, p)
		}
		if again, ok := rec.position(rec.offset(p)); !ok || again != p {
			t.Fatalf("%q is %+v, and written anew %+v", offset, p, again)
		}
	})
}
