package zeromq

import (
	"slices"
	"testing"

	"greenroom/hub"
)

type wantsFake struct{ wanted []string }

func (f *wantsFake) TapWanted(func(*hub.Message)) (cancel func()) { return func() {} }

func (f *wantsFake) Want(namespace, prefix string) (cancel func()) {
	w := namespace + "|" + prefix
	f.wanted = append(f.wanted, w)
	return func() { f.wanted = slices.DeleteFunc(f.wanted, func(x string) bool { return x == w }) }
}

// A subscription at XPUB is what the hub's other nodes are asked for.
func TestWants(t *testing.T) {
	f := &wantsFake{}
	w := &wants{hub: f, topics: make(map[string]func())}
	for topic, want := range map[string]string{
		"": "|", "lobby": "/|lobby", "/chat#lob": "/chat|lob", "/chat#": "/chat|", "/ch": "|", "/#/x#": "/|/x#", "$demand": "",
	} {
		w.tell(topic, true)
		if want != "" && !slices.Equal(f.wanted, []string{want}) || want == "" && len(f.wanted) > 0 {
			t.Errorf("%q wants %q", topic, f.wanted)
		}
		w.tell(topic, false)
		if len(f.wanted) > 0 {
			t.Errorf("%q left %q", topic, f.wanted)
		}
	}
}
