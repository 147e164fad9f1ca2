package socketio

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"greenroom/hub"
	"greenroom/transports/engineio"
)

const (
	// scaleSessions makes twice as many descriptors, because both ends are in this process.
	scaleSessions = 5000
	// heapMargin is how many more bytes of heap may be live when all have left than when all had left the
	// time before: noise, less than 105 bytes a session.
	heapMargin = 512 << 10
	// grownMargin is what the first time may leave behind as well, for each session and each goroutine that there
	// was: tables that grew keep their size, and the runtime keeps a goroutine's descriptor, some 440 bytes.
	grownMargin = 512
	// maxPerSession is the most resident memory that an idle session may cost: 8 KB for the server's end, and
	// 1 KB for the client's, a net.Conn, which is in this process as well.
	maxPerSession = 9 << 10
)

// usage is what the process holds on to.
type usage struct {
	goroutines, descriptors int
	greenlets, streams      int64
	heap, resident          uint64
}

// measure looks, after everything was given back that can be.
func (f *fixture) measure() usage {
	var u usage
	var m runtime.MemStats
	for range 2 { // the first collection runs finalizers
		debug.FreeOSMemory()
	}
	runtime.ReadMemStats(&m)
	u.heap = m.HeapAlloc
	u.resident = residentBytes()
	u.goroutines, u.descriptors = runtime.NumGoroutine(), descriptors()
	u.greenlets, u.streams = f.load()
	return u
}

// like reports whether nothing is left beyond what was there before.
func (u usage) like(before usage, margin uint64) bool {
	return u.goroutines <= before.goroutines && u.descriptors <= before.descriptors &&
		u.greenlets <= before.greenlets && u.streams <= before.streams && u.heap <= before.heap+margin
}

// residentBytes is the process's resident memory as the system counts it, 0 where it does not say.
func residentBytes() uint64 {
	b, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(b))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.ParseUint(fields[1], 10, 64)
	if err != nil {
		return 0
	}
	return pages * uint64(os.Getpagesize())
}

// descriptors counts the process's open ones, 0 where the system does not say.
func descriptors() int {
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return 0
	}
	return len(list) - 1 // without the one that reads the list
}

// crowd are the client's ends of many sessions. Nothing but the connection is kept of each.
type crowd []net.Conn

// each runs fn for every connection, on some goroutines.
func (c crowd) each(t *testing.T, fn func(i int, conn net.Conn) error) {
	t.Helper()
	const workers = 16
	errs := make(chan error, workers)
	for w := range workers {
		go func() {
			var err error
			for i := w; i < len(c) && err == nil; i += workers {
				if err = fn(i, c[i]); err != nil {
					err = fmt.Errorf("client %d: %w", i, err)
				}
			}
			errs <- err
		}()
	}
	var err error
	for range workers {
		err = errors.Join(err, <-errs)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// gather connects n sessions.
func (f *fixture) gather(t *testing.T, n int) crowd {
	t.Helper()
	c := make(crowd, n)
	t.Cleanup(func() {
		for _, conn := range c {
			if conn != nil {
				conn.Close()
			}
		}
	})
	c.each(t, func(i int, _ net.Conn) error {
		client, err := f.open()
		if err != nil {
			return err
		}
		c[i] = client.conn
		if err := client.write(ws.OpText, []byte("40")); err != nil {
			return err
		}
		m, err := client.receive()
		if err == nil && (!strings.HasPrefix(m.text, `40{"sid":`) || client.r.Buffered() > 0) {
			err = fmt.Errorf("got %s", m)
		}
		return err
	})
	return c
}

// hear takes the next message of every one of the crowd.
func (c crowd) hear(t *testing.T, text string) {
	t.Helper()
	c.each(t, func(_ int, conn net.Conn) error {
		m, err := newClient(nil, conn, nil).receive()
		if err == nil && m.text != text {
			err = fmt.Errorf("got %s", m)
		}
		return err
	})
}

// leave ends the sessions in the ways in which clients do, and forgets them.
func (c crowd) leave(t *testing.T) {
	t.Helper()
	c.each(t, func(i int, conn net.Conn) error {
		client := newClient(nil, conn, nil)
		var err error
		switch i % 4 {
		case 0: // says goodbye to the namespace, then to the connection
			err = errors.Join(client.write(ws.OpText, []byte("41")), client.write(ws.OpClose, nil))
		case 1: // an Engine.IO close
			err = client.write(ws.OpText, []byte("1"))
		case 2: // a reset
			err = conn.(*net.TCPConn).SetLinger(0)
		}
		return errors.Join(err, conn.Close())
	})
	clear(c)
}

// Thousands of sessions connect, sit idle and leave, twice. All that they took comes back.
func TestSessionsScale(t *testing.T) {
	if raceDetector {
		t.Skip("the race detector ends the program at this many goroutines; run without -race")
	}
	f := serve(t, settings{server: Options{Engine: engineio.Options{PingInterval: noPings}}})
	f.handle(t, "/", hub.Relay(hub.RelayOptions{}))
	f.gather(t, 100).leave(t) // what is made once, is made
	f.empty(t)
	start := f.measure()
	f.comeAndGo(t, start, grownMargin)
	f.comeAndGo(t, f.measure(), 0)
}

// comeAndGo is one round, after which everything must be as it was before, but for some bytes of heap.
func (f *fixture) comeAndGo(t *testing.T, before usage, kept int) {
	t.Helper()
	c := f.gather(t, scaleSessions)
	f.left(t, scaleSessions)
	idle := f.measure()
	if idle.resident > before.resident {
		perSession := (idle.resident - before.resident) / scaleSessions
		t.Logf("%d resident bytes per idle session, %d of them live heap, the client's end included; %d goroutines, %d descriptors",
			perSession, (idle.heap-before.heap)/scaleSessions, idle.goroutines, idle.descriptors)
		if !portable && perSession > maxPerSession {
			t.Errorf("an idle session costs %d bytes, want at most %d", perSession, maxPerSession)
		}
	}
	if err := f.hub.To().Emit("still", "there"); err != nil {
		t.Fatal(err)
	}
	c.hear(t, `42["still","there"]`)

	c.leave(t)
	f.empty(t)
	margin := uint64(heapMargin + kept*(scaleSessions+idle.goroutines))
	after := f.measure()
	for deadline := time.Now().Add(patience); !after.like(before, margin); after = f.measure() {
		if time.Now().After(deadline) {
			t.Fatalf("before: %+v\nafter: %+v", before, after)
		}
	}
	t.Logf("before: %+v; after: %+v", before, after)
}
