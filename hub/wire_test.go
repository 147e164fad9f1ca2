package hub

import (
	"bytes"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"greenroom/coop"
)

// onHalve, when set, is called when a frame is halved.
var onHalve atomic.Pointer[func()]

// halvedWire stands for a compressed one; frames from halvedMin bytes on use it in the tests of the outbox.
var halvedWire = DeriveWire("halved", testWire, func(b []byte) []byte {
	if fn := onHalve.Load(); fn != nil {
		(*fn)()
	}
	return b[:len(b)-len(b)/2]
})

const halvedMin = 40

func TestDerivedWire(t *testing.T) {
	if again := DeriveWire("halved", testWire, bytes.Clone); again != halvedWire {
		t.Errorf("derived twice: %v and %v", again, halvedWire)
	}
	if halvedWire.String() != "halved" {
		t.Errorf("its name is %q", halvedWire)
	}
	for what, f := range map[string]*Frame{"a message": roomFrame("a", 60), "a transport's packet": ownFrame(60)} {
		if got, plain := f.Bytes(halvedWire), f.Bytes(testWire); !bytes.Equal(got, plain[:30]) || len(plain) != 60 {
			t.Errorf("%s: %q of %q", what, got, plain)
		}
	}
}

// However many loops ask at the same time, a frame is derived once.
func TestDerivedOnce(t *testing.T) {
	var calls atomic.Int32
	const askers = 8
	gate := make(chan struct{})
	derive := func() {
		calls.Add(1)
		<-gate // everybody has asked
	}
	onHalve.Store(&derive)
	defer onHalve.Store(nil)
	f := roomFrame("a", 60)
	results := make([][]byte, askers)
	var work, asked sync.WaitGroup
	asked.Add(askers)
	for i := range results {
		work.Go(func() {
			asked.Done()
			results[i] = f.Bytes(halvedWire)
		})
	}
	asked.Wait()
	close(gate)
	work.Wait()
	for _, b := range results {
		if &b[0] != &results[0][0] {
			t.Error("two results")
		}
	}
	if n := calls.Load(); n != 1 {
		t.Errorf("derived %d times", n)
	}
}

func TestOutboxPack(t *testing.T) {
	onLoop(t, Options{OutboxBytes: 100}, func(h *Hub, l *coop.Loop) {
		var o Outbox
		o.Init(l, h, testWire, new(flushCount))
		flagged := MessageFrame(&Message{Event: "x", Payload: Payload{JSON: bytes.Repeat([]byte("x"), 50)}, NoCompress: true})
		if err := o.Push(roomFrame("a", halvedMin)); err != nil || o.Bytes() != halvedMin {
			t.Errorf("%d bytes before Pack, %v", o.Bytes(), err)
		}
		o.Pack(halvedWire, halvedMin)
		o.SetWire(testWire)
		if o.Bytes() != halvedMin/2 {
			t.Errorf("%d bytes after an upgrade", o.Bytes())
		}
		for name, tc := range map[string]struct {
			frame *Frame
			want  int
		}{
			"below the threshold": {ownFrame(halvedMin - 1), halvedMin - 1},
			"at the threshold":    {ownFrame(halvedMin), halvedMin / 2},
			"not to be":           {flagged, 50},
		} {
			o.Clear()
			if err := o.Push(tc.frame); err != nil || o.Bytes() != tc.want {
				t.Errorf("%s: %d bytes, want %d; %v", name, o.Bytes(), tc.want, err)
			}
		}
		// The bound counts what is kept, not what leaves.
		o.Clear()
		for _, want := range []error{nil, ErrSlowConsumer} {
			if err := o.Push(roomFrame("a", 60)); err != want {
				t.Errorf("%v, want %v", err, want)
			}
		}
	})
}

func TestTargetCompress(t *testing.T) {
	h := newTestHub(t, Options{})
	c := newFakeConn(h, 0)
	var flags []bool
	c.onSend = func(f *Frame) { flags = append(flags, f.Message().NoCompress) } // on the loop
	if err := h.Handle("/", func(s *Session) {
		for range s.Events() { // until the client leaves
		}
	}); err != nil {
		t.Fatal(err)
	}
	c.connect(t, "/", "{}")
	for _, to := range []Target{h.To(), h.To().Compress(false), h.To(c.session.ID()).Compress(false), h.To().Compress(false).Compress(true)} {
		if err := to.Emit("e"); err != nil {
			t.Fatal(err)
		}
	}
	c.waitEvents(t, 4)
	c.on(func(*Session) {}) // after the last onSend
	if want := []bool{false, true, true, false}; !slices.Equal(flags, want) {
		t.Errorf("%v, want %v", flags, want)
	}
}
