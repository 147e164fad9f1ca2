package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"
)

// What Publish refuses, and with which code, whoever calls it.
func TestPublishRefuses(t *testing.T) {
	binary := func(n int) []any { return slices.Repeat([]any{[]byte{1}}, n) }
	nested := []any{map[string]any{"list": binary(6)}, binary(5)}
	for name, tc := range map[string]struct {
		p    Publication
		code string // "" when it is taken
	}{
		"the hub's own event":             {Publication{Event: "presence", Args: []any{map[string]any{"room": "r"}}}, "reserved_event"},
		"an event of the protocol":        {Publication{Event: "connect"}, "reserved_event"},
		"another name":                    {Publication{Event: "Presence"}, ""},
		"ten binary values":               {Publication{Event: "e", Args: binary(10)}, ""},
		"eleven binary values":            {Publication{Event: "e", Args: binary(11)}, "too_many_attachments"},
		"eleven, not all at the top":      {Publication{Event: "e", Args: nested}, "too_many_attachments"},
		"one value that cannot be JSON":   {Publication{Event: "e", Args: []any{func() {}}}, "bad_arguments"},
		"a duplicate id of a refused one": {Publication{Event: "e", ID: "refused before"}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			h := relayHub(t, Options{Loops: 1}, RelayOptions{})
			a := connect(t, h, 0, "/", "{}")
			a.call(t, 1, "join", "r")
			if _, err := h.Publish(Publication{Room: "r", Event: "e", ID: "refused before", Args: binary(11)}); err == nil {
				t.Error("eleven values were taken")
			}
			tc.p.Room = "r"
			_, err := h.Publish(tc.p)
			var refused *Error
			switch {
			case tc.code == "" && err != nil:
				t.Errorf("refused: %v", err)
			case tc.code == "":
				a.waitEvents(t, 1)
			case !errors.As(err, &refused) || refused.Code != tc.code:
				t.Errorf("got %v, want %s", err, tc.code)
			case len(a.events()) > 0:
				t.Errorf("somebody got %q", a.events())
			}
		})
	}
}

// TestMetaIsWhatEncodingJSONWrites: it is written by hand.
func TestMetaIsWhatEncodingJSONWrites(t *testing.T) {
	type meta struct {
		Room  string  `json:"room"`
		ID    string  `json:"id"`
		Seq   uint64  `json:"seq"`
		From  *Sender `json:"from"`
		At    int64   `json:"at"`
		Via   string  `json:"via,omitempty"`
		Epoch string  `json:"epoch,omitempty"`
	}
	for _, m := range []*Message{
		{Room: "r", ID: "abc-1", Seq: 1, From: serverSender, At: time.UnixMilli(1_700_000_000_123)},
		{Room: `größe "x" <&>`, ID: "a\u2028b", Seq: 1 << 63, From: &Sender{ID: "i\n", Name: "n\x7f", User: `u\`}, Via: "zeromq", At: time.UnixMilli(5)},
	} {
		for _, epoch := range []string{"", "e"} {
			var want strings.Builder
			enc := json.NewEncoder(&want)
			enc.SetEscapeHTML(false)
			if err := enc.Encode(meta{m.Room, m.ID, m.Seq, m.From, m.At.UnixMilli(), m.Via, epoch}); err != nil {
				t.Fatal(err)
			}
			base := Payload{JSON: []byte(`["e"]`)}
			if got := string(base.withMeta(m, epoch).JSON); got != `["e",`+strings.TrimSpace(want.String())+`]` {
				t.Errorf("got  %s\nwant %s", got, want.String())
			}
		}
	}
}

// TestHistoryKeepsNoSpareRoom: whatever the size of arguments was taken for, what is kept is about as large as it is.
func TestHistoryKeepsNoSpareRoom(t *testing.T) {
	h := newTestHub(t, Options{Loops: 1})
	h.Of("/")
	for _, arg := range []any{"text", strings.Repeat("x", 5000), struct{ Text string }{strings.Repeat("x", 5000)}, []any{strings.Repeat("x", 700)}, []byte("b")} {
		if _, err := h.Publish(Publication{Room: "room", Event: "e", Args: []any{arg}}); err != nil {
			t.Fatal(err)
		}
		kept, _ := h.History("/", "room", 1, "")
		p := kept[0].Payload
		if spare := cap(p.JSON) - len(p.JSON); spare > 2*metaBytes+len(p.JSON)/8 { // the allocator's classes are an eighth apart
			t.Errorf("%T: %d bytes, and room for %d more", arg, len(p.JSON), spare)
		}
		if parts, err := p.Split(); err != nil || len(parts) != 3 || !bytes.HasPrefix(parts[2], []byte(`{"room":"room"`)) {
			t.Errorf("%s: %v", p.JSON, err)
		}
	}
}

func BenchmarkPublish(b *testing.B) {
	h := newTestHub(b, Options{Loops: 1})
	h.Of("/")
	p := Publication{Room: "room", Event: "tick", Args: []any{"a payload of some sixty-four bytes, as figures in the market have"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := h.Publish(p); err != nil {
			b.Fatal(err)
		}
	}
}
