package drivers

import (
	"strconv"
	"time"

	"github.com/bradfitz/gomemcache/memcache"

	"greenroom/coop"
)

// Memcache asks a memcached through gomemcache. It has no goroutines, and reads and writes where it is called: its
// connections are coop's, and a call parks its greenlet. It keeps connections but does not limit them;
// the semaphore does.
type Memcache struct {
	client *memcache.Client
	turns  *coop.Semaphore
}

// NewMemcache prepares a pool of connections that live on a loop.
func NewMemcache(l *coop.Loop, addr string, conns int) *Memcache {
	client := memcache.New(addr)
	client.DialContext = (&coop.Dialer{Loop: l}).DialContext
	client.MaxIdleConns = conns
	client.Timeout = 5 * time.Second // of the connection; a greenlet's own is WithTimeout
	return &Memcache{client, coop.NewSemaphore(conns)}
}

// Fill sets the keys, one after the other.
func (m *Memcache) Fill(g *coop.Greenlet, n int) error {
	return m.turns.With(g, func() error {
		for i := range n {
			err := m.client.Set(&memcache.Item{Key: squareKey(i), Value: strconv.AppendInt(nil, int64(i*i), 10)})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// Square gets one key. A greenlet that is killed or times out meanwhile loses the connection, which gomemcache closes.
func (m *Memcache) Square(g *coop.Greenlet, n int) (square int, err error) {
	err = m.turns.With(g, func() error {
		square, err = m.square(n)
		return err
	})
	return square, err
}

func (m *Memcache) square(n int) (int, error) {
	item, err := m.client.Get(squareKey(n))
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(string(item.Value))
}

// Close closes the connections that nobody uses.
func (m *Memcache) Close() error { return m.client.Close() }
