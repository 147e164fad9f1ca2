package hub

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// keptMessage is a publication of n bytes at an offset.
func keptMessage(h *history, offset uint64, n int) *Message {
	return &Message{
		ID: fmt.Sprintf("%s-%d", h.epoch, offset), Event: "e", Seq: offset, Offset: offset,
		Payload: Payload{JSON: []byte(strings.Repeat("x", n))},
	}
}

func offsets(list []*Message) (out []uint64) {
	for _, m := range list {
		out = append(out, m.Seq)
	}
	return out
}

func TestHistoryBounds(t *testing.T) {
	for _, tc := range []struct {
		name  string
		opts  Options
		sizes []int
		want  []uint64
		lost  uint64
	}{
		{"empty", Options{HistoryMessages: 3, HistoryBytes: 100}, nil, nil, 0},
		{"by number", Options{HistoryMessages: 3, HistoryBytes: 100}, []int{1, 1, 1, 1, 1}, []uint64{3, 4, 5}, 2},
		{"by bytes", Options{HistoryMessages: 9, HistoryBytes: 100}, []int{50, 50, 1}, []uint64{2, 3}, 1},
		{"one large one pushes all out", Options{HistoryMessages: 9, HistoryBytes: 100}, []int{30, 30, 100}, []uint64{3}, 2},
		{"one too large is not kept", Options{HistoryMessages: 9, HistoryBytes: 100}, []int{30, 101, 30}, []uint64{1, 3}, 2},
		{"none are kept", Options{HistoryMessages: -1, HistoryBytes: 100}, []int{1, 1}, nil, 2},
	} {
		t.Run(tc.name, func(t *testing.T) {
			h := history{epoch: "epoch"}
			for i, n := range tc.sizes {
				h.add(keptMessage(&h, uint64(i+1), n), tc.opts)
			}
			got, complete := h.last(100, "")
			if !slices.Equal(offsets(got), tc.want) || h.lost.seq != tc.lost || !complete {
				t.Errorf("got %v, lost %d, complete %v; want %v, %d", offsets(got), h.lost.seq, complete, tc.want, tc.lost)
			}
		})
	}
}

// TestHistoryCountsAttachments: binary data is what makes a publication large.
func TestHistoryCountsAttachments(t *testing.T) {
	h := history{epoch: "epoch"}
	m := keptMessage(&h, 1, 10)
	m.Payload.Attachments = [][]byte{make([]byte, 50), make([]byte, 41)}
	h.add(m, Options{HistoryMessages: 9, HistoryBytes: 100})
	if h.len() != 0 || h.lost.seq != 1 {
		t.Errorf("%d are kept, %d lost", h.len(), h.lost.seq)
	}
}

func TestHistoryIDs(t *testing.T) {
	h := history{epoch: "epoch"}
	for i := range uint64(8) {
		h.add(keptMessage(&h, i+1, 1), Options{HistoryMessages: 5, HistoryBytes: 100}) // 4 to 8 stay
	}
	for _, tc := range []struct {
		after    string
		limit    int
		want     []uint64
		complete bool
	}{
		{"", 2, []uint64{7, 8}, true},
		{"", 0, nil, true},
		{"epoch-8", 9, nil, true},
		{"epoch-6", 9, []uint64{7, 8}, true},
		{"epoch-6", 1, []uint64{7}, true},
		{"epoch-3", 9, []uint64{4, 5, 6, 7, 8}, true},
		{"epoch-2", 9, []uint64{4, 5, 6, 7, 8}, false},
		{"epoch-2", 2, []uint64{7, 8}, false},
		{"epoch-99", 9, nil, true}, // not yet sequenced: nothing comes after it
		{"epoch-0", 9, []uint64{4, 5, 6, 7, 8}, false},
		{"other-6", 2, []uint64{7, 8}, false},
		{"epoch-", 2, []uint64{7, 8}, false},
		{"epoch--1", 2, []uint64{7, 8}, false},
		{"epoch-x", 2, []uint64{7, 8}, false},
		{"epoch-18446744073709551616", 2, []uint64{7, 8}, false},
		{"-6", 2, []uint64{7, 8}, false},
		{"nonsense", 2, []uint64{7, 8}, false},
		{strings.Repeat("epoch-", 1000), 2, []uint64{7, 8}, false},
	} {
		got, complete := h.last(tc.limit, tc.after)
		if !slices.Equal(offsets(got), tc.want) || complete != tc.complete {
			t.Errorf("after %.20q limit %d: got %v %v, want %v %v", tc.after, tc.limit, offsets(got), complete, tc.want, tc.complete)
		}
	}
	var none history
	if got, complete := none.last(5, "-1"); len(got) != 0 || complete {
		t.Errorf("an empty history: %v, complete %v", got, complete)
	}
}

// TestHistoryModel compares the ring with a plain list, and holds it to its memory.
func TestHistoryModel(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		o := Options{
			HistoryMessages: rapid.IntRange(1, 80).Draw(rt, "messages"),
			HistoryBytes:    rapid.IntRange(1, 400).Draw(rt, "bytes"),
		}
		h := history{epoch: "epoch"}
		var model []*Message
		lost, offset := uint64(0), uint64(0)
		for range rapid.IntRange(0, 300).Draw(rt, "steps") {
			offset += uint64(rapid.IntRange(1, 3).Draw(rt, "gap")) // other messages have offsets too
			m := keptMessage(&h, offset, rapid.IntRange(0, 40).Draw(rt, "size"))
			h.add(m, o)
			if size(m) > o.HistoryBytes {
				lost = m.Seq
				continue
			}
			model = append(model, m)
			for total(model) > o.HistoryBytes || len(model) > o.HistoryMessages {
				lost, model = model[0].Seq, model[1:]
			}
		}
		if h.bytes != total(model) || h.len() != len(model) {
			rt.Fatalf("%d messages of %d bytes, want %d of %d", h.len(), h.bytes, len(model), total(model))
		}
		if most := max(64, 2*o.HistoryMessages+2); len(h.entries) > most {
			rt.Fatalf("%d slots for at most %d messages", len(h.entries), o.HistoryMessages)
		}
		for i, m := range h.entries[:h.start] {
			if m != nil {
				rt.Fatalf("slot %d still holds a message that is gone", i)
			}
		}
		limit := rapid.IntRange(0, 90).Draw(rt, "limit")
		after := uint64(rapid.IntRange(0, int(offset)+2).Draw(rt, "after"))
		want, complete := model, after >= lost
		if complete {
			i := slices.IndexFunc(model, func(m *Message) bool { return m.Seq > after })
			if i < 0 {
				i = len(model)
			}
			want = model[i:]
			want = want[:min(limit, len(want))]
		} else {
			want = want[max(0, len(want)-limit):]
		}
		got, ok := h.last(limit, fmt.Sprintf("epoch-%d", after))
		if !slices.Equal(got, want) || ok != complete {
			rt.Fatalf("after %d limit %d: got %v %v, want %v %v", after, limit, offsets(got), ok, offsets(want), complete)
		}
	})
}

func total(list []*Message) (n int) {
	for _, m := range list {
		n += size(m)
	}
	return n
}

// TestHistoryAnswersAreTheCallersOwn: what the ring does later does not show in them.
func TestHistoryAnswersAreTheCallersOwn(t *testing.T) {
	h := history{epoch: "epoch"}
	o := Options{HistoryMessages: 2, HistoryBytes: 100}
	h.add(keptMessage(&h, 1, 1), o)
	h.add(keptMessage(&h, 2, 1), o)
	got, _ := h.last(2, "")
	for i := range uint64(100) {
		h.add(keptMessage(&h, i+3, 1), o)
	}
	if !slices.Equal(offsets(got), []uint64{1, 2}) {
		t.Errorf("got %v", offsets(got))
	}
}

func TestHistoryEntries(t *testing.T) {
	for name, tc := range map[string]struct {
		args []any
		want string // of the object's fields, sorted
	}{
		"none":   {nil, "event id meta"},
		"one":    {[]any{1}, "data event id meta"},
		"two":    {[]any{1, 2}, "args data event id meta"},
		"binary": {[]any{[]byte("x")}, "data event id meta"},
	} {
		p, err := EncodeArgs("e", tc.args...)
		if err != nil {
			t.Fatal(err)
		}
		e, err := entry(&Message{ID: "id", Event: "e", Payload: p.withMeta(&Message{Room: "r", From: serverSender}, "")})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		var fields []string
		for k := range e.object() {
			fields = append(fields, k)
		}
		slices.Sort(fields)
		if got := strings.Join(fields, " "); got != tc.want {
			t.Errorf("%s: got %s, want %s", name, got, tc.want)
		}
	}
	if _, err := entry(&Message{Payload: Payload{JSON: []byte(`{}`)}}); err == nil {
		t.Error("a payload that is no array was taken apart")
	}
}
