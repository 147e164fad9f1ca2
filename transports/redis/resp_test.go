//go:build unix

package redis

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

func bulk(words ...string) string {
	return string(appendCommand(nil, words...))
}

func TestReplies(t *testing.T) {
	long := strings.Repeat("x", 200<<10) // longer than the reader's buffer
	stream := bulk("message", "c", "body") + bulk("pmessage", "c*", "c#é", "") + bulk("smessage", "s", long) +
		"*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n" + "*3\r\n$12\r\nsunsubscribe\r\n$1\r\ns\r\n:0\r\n" +
		"+PONG\r\n" + bulk("pong", "") + "-NOPERM this user\r\n" + bulk("message", "big", long+long) + bulk("pmessage", "*", long, "body") + bulk("message", "c", "\r\n\x00")
	want := []reply{
		{kind: replyMessage, channel: []byte("c"), body: []byte("body")},
		{kind: replyMessage, channel: []byte("c#é"), body: []byte{}},
		{kind: replyMessage, channel: []byte("s"), body: []byte(long)},
		{kind: replySubscribed, sub: subChannel, channel: []byte("c")},
		{kind: replyUnsubscribed, sub: subShard, channel: []byte("s")},
		{kind: replyPong},
		{kind: replyPong},
		{kind: replyError, body: []byte("NOPERM this user")},
		{kind: replyTooBig, channel: []byte("big")},
		{kind: replyTooBig}, // nobody has such a channel
		{kind: replyMessage, channel: []byte("c"), body: []byte("\r\n\x00")},
	}
	for name, r := range map[string]io.Reader{
		"at once": strings.NewReader(stream), "byte by byte": iotest.OneByteReader(strings.NewReader(stream)),
	} {
		in := newReplies(r, 300<<10)
		for i, w := range want {
			got, err := in.next()
			if err != nil {
				t.Fatalf("%s: reply %d: %v", name, i, err)
			}
			if got.kind != w.kind || got.sub != w.sub || !bytes.Equal(got.channel, w.channel) || w.kind != replyPong && !bytes.Equal(got.body, w.body) {
				t.Errorf("%s: reply %d: %v %.50q %.50q", name, i, got.kind, got.channel, got.body)
			}
		}
		if _, err := in.next(); !errors.Is(err, io.EOF) {
			t.Errorf("%s: after the last: %v", name, err)
		}
	}
}

// What is no subscriber's reply ends the connection, and costs no memory that the server names.
func TestRepliesRefuse(t *testing.T) {
	for name, s := range map[string]string{
		"another protocol":        "HTTP/1.1 400 Bad Request\r\n\r\n",
		"a number":                ":1\r\n",
		"an array of nothing":     "*0\r\n",
		"a nil array":             "*-1\r\n",
		"a long array":            "*9\r\n",
		"no length":               "*3\r\n$\r\n",
		"a negative length":       "*3\r\n$-1\r\n",
		"a huge length":           "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$999999999\r\n",
		"an overflowing length":   "*3\r\n$99999999999999999999\r\n",
		"a huge channel":          "*3\r\n$7\r\nmessage\r\n$600000000\r\n",
		"an array within":         "*3\r\n$7\r\nmessage\r\n*1\r\n",
		"a body without its end":  "*3\r\n$7\r\nmessage\r\n$1\r\nc\r\n$1\r\nabc",
		"an unknown word":         bulk("monitor", "c", "d"),
		"a message of four":       bulk("message", "c", "d", "e"),
		"a pmessage of three":     bulk("pmessage", "c", "d"),
		"a line without its end":  strings.Repeat("x", 1<<20),
		"a line feed alone":       "*3\n",
		"an empty line":           "\r\n",
		"a subscription's string": bulk("subscribe", "c", "1"),
	} {
		t.Run(name, func(t *testing.T) {
			in := newReplies(strings.NewReader(s), 1<<20)
			if _, err := in.next(); !errors.Is(err, errProtocol) {
				t.Errorf("%v", err)
			}
		})
	}
}

// Names that others make up do not stay in memory.
func TestLongNamesAreNotKept(t *testing.T) {
	n := newNames()
	long := bytes.Repeat([]byte("x"), 2000)
	if n.of(long) != string(long) || n.of([]byte("short")) != "short" {
		t.Error("another name")
	}
	for _, s := range n.recent {
		if len(s) > 1<<10 {
			t.Errorf("%d bytes are kept", len(s))
		}
	}
}

func FuzzReplies(f *testing.F) {
	f.Add([]byte(bulk("message", "c", "body") + "*3\r\n$9\r\nsubscribe\r\n$1\r\nc\r\n:1\r\n+PONG\r\n"))
	f.Add([]byte(bulk("pmessage", "c*", "c", "body") + "-ERR x\r\n*2\r\n$4\r\npong\r\n$0\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		in := newReplies(bytes.NewReader(b), 1<<10)
		for {
			r, err := in.next()
			if err != nil {
				return
			}
			if len(r.body) > max(1<<10, maxLine) {
				t.Fatalf("a body of %d bytes", len(r.body))
			}
		}
	})
}

func BenchmarkReplies(b *testing.B) {
	one := bulk("pmessage", "socket.io#/#*", "socket.io#/#room1#", strings.Repeat("x", 120))
	in := newReplies(&endless{text: []byte(strings.Repeat(one, 100))}, 1<<20)
	names := newNames()
	b.ReportAllocs()
	for b.Loop() {
		r, err := in.next()
		if err != nil {
			b.Fatal(err)
		}
		names.of(r.channel)
	}
}

type endless struct {
	text []byte
	at   int
}

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, e.text[e.at:])
	e.at = (e.at + n) % len(e.text)
	return n, nil
}
