package losscheck

import (
	"io"
	"net"
	"testing"
)

// What is sent while a proxy holds comes when it passes, and what is ended meanwhile ends then.
func TestProxy(t *testing.T) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	p, err := NewProxy(ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	c, err := net.Dial("tcp", p.Addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	d, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	say := func(text string) {
		if _, err := io.WriteString(c, text); err != nil {
			t.Fatal(err)
		}
	}
	hear := func(want string) {
		b := make([]byte, len(want))
		if _, err := io.ReadFull(d, b); err != nil || string(b) != want {
			t.Fatalf("%q, %v", b, err)
		}
	}
	say("one")
	hear("one")
	p.Hold()
	say("two")
	_ = c.Close()
	heard := make(chan string)
	go func() {
		b, _ := io.ReadAll(d)
		heard <- string(b)
	}()
	select {
	case text := <-heard:
		t.Fatalf("heard %q of a line that is held", text)
	default:
	}
	p.Pass()
	if text := <-heard; text != "two" {
		t.Errorf("heard %q", text)
	}
}
