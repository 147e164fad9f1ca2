package redis

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"strconv"
	"sync"
	"time"
)

// helloEvery is how often a node says its name. Another that has said the same name within three times that is there.
const helloEvery = 5 * time.Second

var errTwin = errors.New("redis: another node has the same name, and had it first: give every node of the cluster its own, by --node")

// twins notices that two nodes have one name: presence and sessions of the two would be mixed up. Each says hello on a
// channel of its name, with a number that no other has and the time when it began. A node that was started again never
// hears itself, however quickly that was, since a process that has ended says nothing.
type twins struct {
	channel string
	name    string
	me      hello
	every   time.Duration
	say     func(body []byte)
	log     *slog.Logger
	count   func(reason string)

	mu     sync.Mutex
	others map[hello]time.Time // when they were heard last
}

// maxTwins bounds those that are remembered; more of them change nothing.
const maxTwins = 16

// hello is a node, as one of several with its name.
type hello struct {
	id    string
	began int64 // nanoseconds; clocks differ, but both nodes compare the same two numbers
}

func newTwins(prefix, name string, every time.Duration, log *slog.Logger, count func(string)) *twins {
	id := make([]byte, 8)
	_, _ = rand.Read(id) // it never fails
	return &twins{
		channel: prefix + "-greenroom#" + name, name: name, every: every, log: log, count: count,
		me: hello{hex.EncodeToString(id), time.Now().UnixNano()},
	}
}

// run says hello until done is closed.
func (t *twins) run(done <-chan struct{}) {
	tick := time.NewTicker(t.every)
	defer tick.Stop()
	for {
		t.say(t.me.append(nil))
		select {
		case <-tick.C:
			t.look(time.Now())
		case <-done:
			return
		}
	}
}

// message takes what came on the channel.
func (t *twins) message(body []byte) {
	h, ok := parseHello(body)
	if !ok {
		t.count(reasonForeign)
		return
	}
	if h.id == t.me.id {
		return
	}
	t.mu.Lock()
	_, known := t.others[h]
	if !known && len(t.others) == maxTwins {
		t.mu.Unlock()
		return
	}
	if t.others == nil {
		t.others = make(map[hello]time.Time)
	}
	before, had := t.errLocked(), len(t.others) > 0
	t.others[h] = time.Now()
	now := t.errLocked()
	t.mu.Unlock()
	if known {
		return
	}
	t.count(reasonTwin)
	switch {
	case before == nil && now != nil:
		t.log.Error(errTwin.Error(), "node", t.name)
	case !had:
		t.log.Warn("redis: another node with this node's name has come, and is told so", "node", t.name)
	}
	t.say(t.me.append(nil)) // it need not wait to know; once for each, or they would not end to tell each other
}

// look forgets those that have left.
func (t *twins) look(now time.Time) {
	t.mu.Lock()
	had := len(t.others) > 0
	for h, heard := range t.others {
		if now.Sub(heard) > 3*t.every {
			delete(t.others, h)
		}
	}
	left := had && len(t.others) == 0
	t.mu.Unlock()
	if left {
		t.log.Info("redis: the other node with this node's name has left", "node", t.name)
	}
}

// err is errTwin while there is another that had the name first.
func (t *twins) err() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.errLocked()
}

func (t *twins) errLocked() error {
	for h := range t.others {
		if h.older(t.me) {
			return errTwin
		}
	}
	return nil
}

func (h hello) older(than hello) bool {
	return h.began < than.began || h.began == than.began && h.id < than.id
}

// append writes "1 id began": the 1 is the version.
func (h hello) append(b []byte) []byte {
	b = append(b, "1 "...)
	b = append(b, h.id...)
	return strconv.AppendInt(append(b, ' '), h.began, 10)
}

func parseHello(b []byte) (h hello, ok bool) {
	words := bytes.Split(b[:min(len(b), 100)], []byte{' '})
	if len(words) < 3 || string(words[0]) != "1" || len(words[1]) != 16 {
		return h, false
	}
	h.id = string(words[1])
	var err error
	h.began, err = strconv.ParseInt(string(words[2]), 10, 64)
	return h, err == nil
}
