package hub

import (
	"slices"
	"sync"
	"time"
)

// dedup remembers the ids that publishers gave their publications, for a while. Any goroutine.
type dedup struct {
	mu     sync.Mutex
	window time.Duration
	max    int
	seen   map[string]string // key → the id we gave
	queue  []dedupEntry      // by age
}

type dedupEntry struct {
	key string
	at  time.Time
}

func (d *dedup) init(window time.Duration, max int) {
	d.window, d.max = window, max
	d.seen = make(map[string]string)
}

// claim returns ("", true) when key is new, and remembers it; else the id that was given to its first
// publication.
func (d *dedup) claim(key string, now time.Time) (id string, fresh bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := 0
	for n < len(d.queue) && (now.Sub(d.queue[n].at) > d.window || len(d.queue)-n >= d.max) {
		delete(d.seen, d.queue[n].key)
		n++
	}
	d.queue = d.queue[n:]
	if id, ok := d.seen[key]; ok {
		return id, false
	}
	d.seen[key] = ""
	d.queue = append(d.queue, dedupEntry{key, now})
	return "", true
}

// forget gives a key up that was claimed last for a publication that is not made.
func (d *dedup) forget(key string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.seen, key)
	for i, e := range slices.Backward(d.queue) {
		if e.key == key {
			d.queue = slices.Delete(d.queue, i, i+1)
			return
		}
	}
}

// settle notes the id that was given to key's publication.
func (d *dedup) settle(key, id string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if _, ok := d.seen[key]; ok {
		d.seen[key] = id
	}
}
