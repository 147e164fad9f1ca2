package guard

import (
	"bytes"
	"errors"
	"io"
	"net"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// pair returns both ends of a connection over network "tcp" or "unix".
func pair(t testing.TB, network string) (ours, theirs net.Conn) {
	t.Helper()
	address := "127.0.0.1:0"
	if network == "unix" {
		address = t.TempDir() + "/s"
	}
	ln, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	theirs, err = net.Dial(network, ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	ours, err = ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = theirs.Close() })
	return ours, theirs
}

// open guards one end and shakes hands with a raw peer of type peer on the other.
func open(t testing.TB, network, local, peer string, l Limits) (*Conn, *zmq4.Conn, net.Conn) {
	t.Helper()
	ours, theirs := pair(t, network)
	c := New(ours, local, l)
	t.Cleanup(func() { _ = c.Close(); c.Wait() })
	if _, err := theirs.Write(join(greeting("NULL"), ready(peer))); err != nil {
		t.Fatal(err)
	}
	conn, err := Open(c, zmq4.SocketType(local), true)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.PeerType(); got != peer {
		t.Fatalf("peer type %q", got)
	}
	hello := make([]byte, 64+2)
	if _, err := io.ReadFull(theirs, hello); err != nil || hello[64] != flagCommand {
		t.Fatalf("our greeting and READY: %x, %v", hello, err)
	}
	if _, err := io.CopyN(io.Discard, theirs, int64(hello[65])); err != nil {
		t.Fatal(err)
	}
	return c, conn, theirs
}

// TestGreetsFirst: libzmq sends 10 bytes and waits for ours.
func TestGreetsFirst(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	c := New(ours, "PULL", Limits{})
	defer c.Wait()
	defer c.Close()
	done := make(chan error, 1)
	go func() {
		_, err := Open(c, zmq4.Pull, true)
		done <- err
	}()
	hello := join(greeting("NULL"), ready("PUSH"))
	if _, err := theirs.Write(hello[:10]); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(theirs, make([]byte, 64)); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write(hello[10:]); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestPongsStandBetweenMessages: the peer asks for PONGs while multipart messages are sent flat out,
// in the pieces in which zmq4 writes them. What it gets must parse, in order.
func TestPongsStandBetweenMessages(t *testing.T) {
	c, conn, theirs := open(t, "tcp", "DEALER", "DEALER", Limits{QueueBytes: 256 << 10, PingsPerSec: 1 << 20})
	const n = 5000 // PONGs: less than a quarter of the queue, however late they leave
	sent := make(chan error, 2)
	go func() {
		for range n {
			if err := conn.SendMsg(zmq4.Msg{Frames: [][]byte{[]byte("a"), bytes.Repeat([]byte("b"), 300), nil}}); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	go func() {
		for range n {
			if _, err := theirs.Write(command("PING", "\x00\x00ctx")); err != nil {
				sent <- err
				return
			}
		}
		sent <- nil
	}()
	received := make(chan struct{})
	go func() {
		defer close(received)
		for { // the commands never get here
			if msg, err := conn.RecvMsg(); err == nil {
				t.Errorf("received %v", msg)
			} else {
				return
			}
		}
	}()
	whole, pong := message("a", strings.Repeat("b", 300), ""), command("PONG", "ctx")
	for messages, pongs := 0, 0; messages < n || pongs < n; {
		got := make([]byte, len(pong))
		if _, err := io.ReadFull(theirs, got); err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(got, pong) {
			pongs++
			continue
		}
		rest := make([]byte, len(whole)-len(pong))
		if _, err := io.ReadFull(theirs, rest); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(append(got, rest...), whole) {
			t.Fatalf("message %d is broken: %q", messages, got)
		}
		messages++
	}
	for range 2 {
		if err := <-sent; err != nil {
			t.Fatal(err)
		}
	}
	_ = c.Close()
	<-received
}

// TestHeartbeats: silence shorter than promised is fine, longer ends the connection.
func TestHeartbeats(t *testing.T) {
	c, conn, theirs := open(t, "tcp", "PULL", "PUSH", Limits{})
	received := make(chan error, 2)
	go func() {
		for {
			if _, err := conn.RecvMsg(); err != nil {
				received <- err
				return
			}
			received <- nil
		}
	}()
	var start time.Time
	for _, ttl := range []string{"\x00\xff", "\x00\xff", "\x00\x03"} { // 25 s are enough for us, 0.3 s are to pass
		start = time.Now()
		if _, err := theirs.Write(join(command("PING", ttl), message("m"))); err != nil {
			t.Fatal(err)
		}
		if err := <-received; err != nil {
			t.Fatal(err)
		}
	}
	<-received
	var v *Violation
	if err := c.Err(); !errors.As(err, &v) || v.Reason != ReasonHeartbeat || time.Since(start) < 300*time.Millisecond {
		t.Fatalf("ended after %v by %v", time.Since(start), err)
	}
}

// TestHeartbeatCanBeLifted: a later PING without a ttl takes the promise back.
func TestHeartbeatCanBeLifted(t *testing.T) {
	_, conn, theirs := open(t, "tcp", "PULL", "PUSH", Limits{})
	if _, err := theirs.Write(join(command("PING", "\x00\x0a"), message("one"))); err != nil { // a second
		t.Fatal(err)
	}
	if _, err := conn.RecvMsg(); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write(join(command("PING", "\x00\x00"), message("two"))); err != nil {
		t.Fatal(err)
	}
	if _, err := conn.RecvMsg(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(1500*time.Millisecond, func() { _, _ = theirs.Write(message("three")) })
	defer late.Stop()
	if _, err := conn.RecvMsg(); err != nil {
		t.Fatal(err)
	}
}

// TestSentBeforeLeavingIsRead: a peer sends, asks for PONGs and closes without reading them.
func TestSentBeforeLeavingIsRead(t *testing.T) {
	c, conn, theirs := open(t, "unix", "PULL", "PUSH", Limits{})
	const n = 100
	for range n {
		if _, err := theirs.Write(join(command("PING", "\x00\x00"), message("m"))); err != nil {
			t.Fatal(err)
		}
	}
	_ = theirs.Close()
	for i := range n {
		if _, err := conn.RecvMsg(); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
		c.TrySend(message("makes the flusher fail at once"))
	}
	if _, err := conn.RecvMsg(); err == nil {
		t.Fatal("one too many")
	}
}

func TestQueueIsBounded(t *testing.T) {
	c, _, theirs := open(t, "tcp", "XPUB", "SUB", Limits{QueueBytes: 10_000, WriteTimeout: 200 * time.Millisecond})
	msg := message(strings.Repeat("x", 1000))
	queued := func() int {
		c.out.mu.Lock()
		defer c.out.mu.Unlock()
		return c.out.waiting + c.out.flying
	}
	refused := false
	for c.Sending() { // until the system's buffers are full as well, and for WriteTimeout after that
		if !c.TrySend(msg) {
			refused = true
			runtime.Gosched()
		}
		if n := queued(); n > 10_000 {
			t.Fatalf("%d bytes are queued", n)
		}
	}
	c.Wait()
	var v *Violation
	if err := c.Err(); !refused || !errors.As(err, &v) || v.Reason != ReasonWriteTimeout {
		t.Fatalf("refused %v, then %v", refused, err)
	}
	if err := c.Send(msg); !errors.As(err, &v) {
		t.Fatalf("sending afterwards: %v", err)
	}
	_ = theirs.Close()
}

func TestFlushThenCloseWrite(t *testing.T) {
	c, _, theirs := open(t, "tcp", "PUSH", "PULL", Limits{})
	msg := message(strings.Repeat("x", 100_000))
	for range 20 {
		if err := c.Send(msg); err != nil {
			t.Fatal(err)
		}
	}
	read := make(chan int64)
	go func() {
		n, _ := io.Copy(io.Discard, theirs)
		read <- n
	}()
	if err := c.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := c.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if n := <-read; n != int64(20*len(msg)) {
		t.Fatalf("%d bytes arrived", n)
	}
	_ = c.Close()
	if err := c.Flush(); err != nil {
		t.Fatalf("nothing was lost: %v", err)
	}
}

// TestDeadlineAfterAWriteErrorStays: a peer that takes nothing any more is read from for a while and not for
// ever, whatever deadline its reader sets meanwhile.
func TestDeadlineAfterAWriteErrorStays(t *testing.T) {
	c, conn, theirs := open(t, "tcp", "PULL", "PUSH", Limits{WriteTimeout: 2 * time.Second})
	broken := errors.New("the peer takes nothing")
	c.writeFailed(broken)
	if err := c.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write(join(message("sent before"), command("PING", "\x00\x00"))); err != nil {
		t.Fatal(err)
	}
	if msg, err := conn.RecvMsg(); err != nil || string(msg.Frames[0]) != "sent before" {
		t.Fatalf("%v, %v", msg, err)
	}
	if _, err := conn.RecvMsg(); err == nil {
		t.Fatal("one message too many")
	}
	if err := c.Err(); !errors.Is(err, broken) {
		t.Errorf("ended by %v", err)
	}
}
