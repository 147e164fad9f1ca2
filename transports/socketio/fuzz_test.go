package socketio

import (
	"bytes"
	"encoding/json"
	"reflect"
	"testing"
	"unicode/utf8"

	"greenroom/hub"
)

// FuzzDecode: whatever comes, Decode returns; what it lets through has the properties that everything
// behind it relies on, and means the same after it was written again. The committed seeds are one of
// each kind; the tables of these tests are added.
func FuzzDecode(f *testing.F) {
	for _, v := range loadVectors(f).Decode {
		f.Add([]byte(v.Text))
	}
	for _, c := range malformed {
		if len(c.text) < 4<<10 {
			f.Add([]byte(c.text))
		}
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		if !utf8.Valid(text) {
			return // the layer below refuses it
		}
		before := bytes.Clone(text)
		p, err := Decode(text)
		if !bytes.Equal(text, before) {
			t.Fatal("the input was changed")
		}
		if err != nil {
			if _, ok := err.(*Error); !ok || !reflect.DeepEqual(p, Packet{}) {
				t.Fatalf("refused with %T and %+v", err, p)
			}
			return
		}
		checkPacket(t, &p)
		again, err := Decode(p.Append(nil))
		if err != nil {
			t.Fatalf("%q became %q: %v", text, p.Append(nil), err)
		}
		if !reflect.DeepEqual(p, again) {
			t.Fatalf("%+v became %+v", p, again)
		}
	})
}

func checkPacket(t *testing.T, p *Packet) {
	t.Helper()
	binary := p.Type == BinaryEvent || p.Type == BinaryAck
	if p.Type < Connect || p.Type > BinaryAck || binary != (p.Attachments > 0) || p.Attachments > maxAttachments {
		t.Fatalf("type %d with %d attachments", p.Type, p.Attachments)
	}
	if len(p.Namespace) == 0 || p.Namespace[0] != '/' || len(p.Namespace) > maxNamespace || bytes.IndexByte(p.Namespace, ',') >= 0 {
		t.Fatalf("namespace %q", p.Namespace)
	}
	if p.ID < hub.NoAck || p.ID > 1<<53-1 {
		t.Fatalf("id %d", p.ID)
	}
	if p.JSON == nil {
		if p.Type == Event || binary {
			t.Fatal("an event without JSON")
		}
		return
	}
	if !json.Valid(p.JSON) || nesting(p.JSON) > maxDepth {
		t.Fatalf("JSON %q", p.JSON)
	}
	if p.Type != Event && p.Type != BinaryEvent {
		return
	}
	// The hub takes the array apart in its own way.
	all, err := hub.Payload{JSON: p.JSON}.Split()
	if err != nil || len(all) == 0 {
		t.Fatalf("%q splits into %q, %v", p.JSON, all, err)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal(p.JSON, &raw); err != nil || !reflect.DeepEqual(raw, all) {
		t.Fatalf("%q splits into %q, want %q", p.JSON, all, raw)
	}
	var name any
	d := json.NewDecoder(bytes.NewReader(all[0]))
	d.UseNumber()
	if err := d.Decode(&name); err != nil {
		t.Fatal(err)
	}
	if n, ok := name.(json.Number); ok {
		name = string(n)
	}
	if name != any(p.Event) || hub.ReservedEvent(p.Event) && all[0][0] == '"' {
		t.Fatalf("event %q from %q", p.Event, all[0])
	}
}

// FuzzScanner compares the scanner with encoding/json.
func FuzzScanner(f *testing.F) {
	for _, doc := range []string{
		`["a",1,null]`, ` {"a":[true,false,{}]} `, `[{"_placeholder":true,"num":0}]`, `"\ud83d\ude00"`, `-0.5e+1`,
		deep(maxDepth + 1), `[1,]`, `{"a"}`, "\"\x00\"", `01`, ``,
	} {
		f.Add([]byte(doc), 2)
	}
	f.Fuzz(func(t *testing.T, doc []byte, attachments int) {
		against(t, doc, max(-1, attachments%(maxAttachments+1)), true)
	})
}
