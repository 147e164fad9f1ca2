package hub

import (
	"errors"
	"slices"
	"testing"
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
