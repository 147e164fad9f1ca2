package guard

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/go-zeromq/zmq4"
)

// TestRefusedHandshakeIsExplained: a peer that has greeted and whose READY is refused gets an ERROR command in
// place of our READY, whatever it sends behind it. Others are closed without a word.
func TestRefusedHandshakeIsExplained(t *testing.T) {
	identity := command("READY", property("Socket-Type", "PUSH")+property("Identity", strings.Repeat("i", 256)))
	for _, c := range []struct {
		name   string
		input  []byte
		says   string // "" for no ERROR
		reason string
	}{
		{"wrong type", join(greeting("NULL"), ready("SUB")), `a "SUB" peer on a PULL endpoint`, ReasonSocketType},
		{"unknown type", join(greeting("NULL"), ready("FÖÖ\x00")), `a "F??\x00" peer on a PULL endpoint`, ReasonSocketType},
		{"traffic behind it", join(greeting("NULL"), ready("SUB"), message("room", strings.Repeat("x", 10_000))), `a "SUB" peer on a PULL endpoint`, ReasonSocketType},
		{"no type", join(greeting("NULL"), command("READY", "")), "no Socket-Type", ReasonReady},
		{"identity too long", join(greeting("NULL"), identity), "identity of 256 bytes", ReasonReady},
		{"type twice", join(greeting("NULL"), command("READY", property("Socket-Type", "PUSH")+property("socket-type", "PUSH"))), `property "socket-type" twice`, ReasonReady},
		{"cut property", join(greeting("NULL"), command("READY", "\x0bSocket-Type\x00\x00")), "property name", ReasonReady},
		{"a message in place of READY", join(greeting("NULL"), message("hello")), "READY is a command", ReasonReady},
		{"another command", join(greeting("NULL"), command("HELLO", "")), `command "HELLO"`, ReasonReady},

		{"no greeting", []byte("GET / HTTP/1.1\r\n\r\n"), "", ReasonGreeting},
		{"another mechanism", greeting("PLAIN"), "", ReasonMechanism},
		{"it refuses us", join(greeting("NULL"), command("ERROR", "\x02no")), "", ReasonPeerError},
	} {
		t.Run(c.name, func(t *testing.T) {
			ours, theirs := pair(t, "tcp")
			g := New(ours, "PULL", Limits{})
			opened := make(chan error, 1)
			go func() {
				_, err := Open(g, zmq4.Pull, true)
				_ = g.Close()
				g.Wait()
				opened <- err
			}()
			if err := theirs.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
				t.Fatal(err)
			}
			if _, err := theirs.Write(c.input); err != nil {
				t.Fatal(err)
			}
			var heard []byte
			if c.says != "" {
				all, err := io.ReadAll(theirs)
				if err != nil {
					t.Fatal(err)
				}
				heard = all[greetingBytes:]
			}
			_ = theirs.Close()
			var v *Violation
			if err := <-opened; !errors.As(err, &v) || v.Reason != c.reason {
				t.Errorf("refused with %v, want %s", err, c.reason)
			}
			if c.says == "" {
				return
			}
			if len(heard) < 9 || heard[0] != flagCommand || int(heard[1]) != len(heard)-2 || string(heard[2:8]) != "\x05ERROR" || int(heard[8]) != len(heard)-9 {
				t.Fatalf("heard %q", heard)
			}
			if said := string(heard[9:]); !strings.Contains(said, c.says) || plain(said) != said {
				t.Errorf("said %q, want %q in it", said, c.says)
			}
		})
	}
}

// TestErrorCommandFits: a reason of any length and any bytes becomes one short command of printable ASCII.
func TestErrorCommandFits(t *testing.T) {
	for _, n := range []int{0, 1, 248, 249, 255, 1000} {
		got := appendError(nil, strings.Repeat("é", n))
		size := min(n, 248)
		if want := "\x04" + string([]byte{byte(7 + size)}) + "\x05ERROR" + string([]byte{byte(size)}) + strings.Repeat("?", size); string(got) != want {
			t.Errorf("%d letters: %q", n, got)
		}
		var v *Violation
		if _, err := parseReady(got[2:], "PUSH", nil); !errors.As(err, &v) || v.Reason != ReasonPeerError || !strings.HasSuffix(v.Detail, ": "+strings.Repeat("?", size)) {
			t.Errorf("%d letters are read as %v", n, err)
		}
	}
}

// TestConnectingSideDoesNotExplain: its READY is out already, behind which no ERROR may stand.
func TestConnectingSideDoesNotExplain(t *testing.T) {
	ours, theirs := pair(t, "tcp")
	g := New(ours, "PUSH", Limits{})
	opened := make(chan error, 1)
	go func() {
		_, err := Open(g, zmq4.Push, false)
		_ = g.Close()
		g.Wait()
		opened <- err
	}()
	if err := theirs.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		t.Fatal(err)
	}
	if _, err := theirs.Write(join(greeting("NULL"), ready("PUB"))); err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(theirs)
	if err != nil || strings.Contains(string(all), "ERROR") {
		t.Errorf("heard %q, %v", all, err)
	}
	var v *Violation
	if err := <-opened; !errors.As(err, &v) || v.Reason != ReasonSocketType {
		t.Errorf("refused with %v", err)
	}
}
