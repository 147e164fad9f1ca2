package hub

import (
	"reflect"
	"sync"
	"testing"
)

// What a node wants to hear of others, as its adapter is told.
func TestDemand(t *testing.T) {
	h := newTestHub(t, Options{Node: "a"})
	var mu sync.Mutex
	have := make(map[string]int)
	note := func(kind string) func(namespace, name string, live bool) {
		return func(namespace, name string, live bool) {
			mu.Lock()
			defer mu.Unlock()
			key := kind + " " + namespace + " " + name
			if live {
				have[key]++
			} else if have[key]--; have[key] == 0 {
				delete(have, key)
			}
		}
	}
	early := h.Want("/", "ea")
	n := node{h}
	cancel := n.WatchDemand(Demand{Room: note("room"), Prefix: note("prefix"), Session: note("session")})
	late, again := h.Want("", ""), h.Want("/", "ea")
	want := func(what string, keys ...string) {
		t.Helper()
		mu.Lock()
		defer mu.Unlock()
		w := make(map[string]int)
		for _, k := range keys {
			w[k] = 1
		}
		if !reflect.DeepEqual(have, w) {
			t.Errorf("%s: %v, want %v", what, have, w)
		}
	}
	want("two wants", "prefix / ea", "prefix  ")
	if h.Of("/"); !n.Hears("/", []string{"x"}) || n.Hears("/nowhere", nil) {
		t.Error("hears wrongly")
	}
	late()
	late()
	if n.Hears("/", []string{"x"}) || !n.Hears("/", []string{"x", "early"}) || !n.Hears("/", nil) {
		t.Error("hears wrongly")
	}
	again()
	want("one is left", "prefix / ea")
	early()
	want("none is left")
	r := h.Of("/").lockRoom("$user:bob")
	r.tellLive(true)
	r.mu.Unlock()
	want("a user's room", "room / $user:bob")
	r.mu.Lock()
	r.tellLive(false)
	r.mu.Unlock()
	cancel()
	h.Want("/", "unheard")()
	want("after the end")
}
