//go:build unix

package redis

import (
	"testing"

	"pgregory.net/rapid"
)

// fakeServer answers the commands of a connection as Redis does, when the test lets it.
type fakeServer struct {
	has    map[subKey]bool
	refuse map[subKey]bool
	queue  []fakeReply // sent to the client, not read yet
}

type fakeReply struct {
	key    subKey
	on, no bool
}

func (f *fakeServer) take(op subOp) {
	key := op.sub.key
	if op.on && f.refuse[key] {
		f.queue = append(f.queue, fakeReply{key: key, on: true, no: true})
		return
	}
	if op.on {
		f.has[key] = true
	} else {
		delete(f.has, key)
	}
	f.queue = append(f.queue, fakeReply{key: key, on: op.on})
}

// Whatever is wanted, in whatever order commands, replies, refusals, moves of slots and lost connections come: in the
// end the server has what is wanted, nothing was called confirmed that the server does not have, and the count of those
// that are missing is right at any time.
func TestSubscriptionsConverge(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		subs := newSubscriptions()
		server := &fakeServer{has: map[subKey]bool{}, refuse: map[subKey]bool{}}
		want := map[subKey]bool{}
		keyOf := func(t *rapid.T) subKey {
			return subKey{subKind(rapid.IntRange(0, 2).Draw(t, "kind")), rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "channel")}
		}
		send := func() bool {
			op, ok := subs.next()
			if ok {
				server.take(op)
			}
			return ok
		}
		receive := func() bool {
			if len(server.queue) == 0 {
				return false
			}
			r := server.queue[0]
			server.queue = server.queue[1:]
			if r.no {
				if op, ok := subs.failed(); !ok || op.sub.key != r.key {
					t.Fatalf("an error for %v was taken for %v", r.key, op)
				}
				return true
			}
			sub, done, moved, ok := subs.answered(r.key.kind, []byte(r.key.channel), r.on)
			if !ok {
				t.Fatalf("a reply was not expected: %+v", r)
			}
			if done && (sub.key != r.key || !want[r.key] || !r.on) {
				t.Fatalf("confirmed by %+v", r)
			}
			if moved && (r.on || !want[r.key]) {
				t.Fatalf("moved by %+v", r)
			}
			if moved { // the link has it elsewhere now
				subs.want(r.key, false)
				delete(want, r.key)
			}
			return true
		}
		check := func() {
			missing := 0
			for key := range want {
				if !subs.has(key) {
					missing++
				}
			}
			if missing != subs.missing {
				t.Fatalf("missing is %d, want %d", subs.missing, missing)
			}
		}
		t.Repeat(map[string]func(*rapid.T){
			"want": func(t *rapid.T) {
				key := keyOf(t)
				want[key] = true
				subs.want(key, true)
			},
			"unwant": func(t *rapid.T) {
				key := keyOf(t)
				delete(want, key)
				subs.want(key, false)
			},
			"send":    func(*rapid.T) { send() },
			"receive": func(*rapid.T) { receive() },
			"refuse": func(t *rapid.T) {
				key := keyOf(t)
				server.refuse[key] = !server.refuse[key]
			},
			"move a slot": func(t *rapid.T) {
				key := keyOf(t)
				key.kind = subShard
				// The server pushes it only while the client has no command for that channel under way: otherwise
				// the connection is given up, see answered.
				if sub := subs.all[key]; server.has[key] && sub != nil && sub.waiting == 0 {
					delete(server.has, key)
					server.queue = append(server.queue, fakeReply{key: key})
					for receive() { // at once, so that no command can get between
					}
				}
			},
			"lose": func(*rapid.T) {
				server.has, server.queue = map[subKey]bool{}, nil
				subs.lost()
			},
			"retry": func(*rapid.T) { subs.retry() },
			"":      func(*rapid.T) { check() },
		})
		clear(server.refuse)
		for range 10 {
			for send() {
			}
			for receive() {
			}
			subs.retry()
		}
		check()
		if subs.missing != 0 || len(subs.all) != len(want) || len(server.has) != len(want) {
			t.Fatalf("in the end: missing %d, known %d, server has %v, wanted %v", subs.missing, len(subs.all), server.has, want)
		}
		for key := range want {
			if !server.has[key] || !subs.has(key) {
				t.Fatalf("%v is wanted, and is not there", key)
			}
		}
	})
}

// A confirmation that no command has asked for says that the connection is not what we think.
func TestSubscriptionsNoticeNonsense(t *testing.T) {
	subs := newSubscriptions()
	subs.want(subKey{subChannel, "a"}, true)
	subs.want(subKey{subChannel, "b"}, true)
	for _, ok := subs.next(); ok; _, ok = subs.next() {
	}
	for name, c := range map[string]struct {
		kind    subKind
		channel string
		on      bool
	}{
		"out of turn":      {subChannel, "a", true},
		"another kind":     {subPattern, "b", true},
		"the other way":    {subChannel, "b", false},
		"unheard of":       {subChannel, "c", true},
		"ended by nobody":  {subPattern, "a", false},
		"a shard's, moved": {subShard, "a", false},
	} {
		if _, _, _, ok := subs.answered(c.kind, []byte(c.channel), c.on); ok {
			t.Errorf("%s was taken", name)
		}
	}
}
