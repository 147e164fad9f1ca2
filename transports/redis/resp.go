package redis

import (
	"bufio"
	"errors"
	"fmt"
	"io"
)

// maxLine bounds a line of the protocol: a length, a number, an error's text.
const maxLine = 4 << 10

// maxChannel bounds the name of a channel that is heard by a pattern: anybody may publish there. Ours are shorter.
const maxChannel = 16 << 10

// errProtocol: what the server sent is not what a subscriber's connection brings. Nothing after it can be trusted.
var errProtocol = errors.New("not a subscriber's reply")

// replyKind says what a [reply] is.
type replyKind uint8

const (
	replyMessage    replyKind = iota // a message of a channel
	replySubscribed                  // the server has taken a subscription
	replyUnsubscribed
	replyPong
	replyError
	replyTooBig // a message that was longer than allowed, and skipped
)

// reply is one reply on a subscriber's connection. Its bytes are valid until the next.
type reply struct {
	kind    replyKind
	sub     subKind // of Subscribed and Unsubscribed
	channel []byte
	body    []byte // of a message; the text of an error
}

// replies reads a subscriber's connection, RESP2. go-redis' PubSub is gone round because it makes five objects and two
// copies of each message, allocates whatever length the server names, and connects again by itself inside of Receive:
// a connection that was lost, and with it messages, cannot be told from one that was not.
type replies struct {
	r   *bufio.Reader
	max int    // of a body
	big []byte // for bodies that do not fit in r
	ch  []byte
	pop int // bytes that the last reply occupies in r's buffer
}

func newReplies(r io.Reader, max int) *replies {
	return &replies{r: bufio.NewReaderSize(r, 64<<10), max: max}
}

// next reads one reply.
func (p *replies) next() (reply, error) {
	p.release()
	line, err := p.line()
	if err != nil {
		return reply{}, err
	}
	switch line[0] {
	case '*':
		n, err := number(line[1:])
		if err != nil || n < 2 || n > 4 {
			return reply{}, fmt.Errorf("%w: an array of %.20q", errProtocol, line[1:])
		}
		return p.array(n)
	case '+':
		return reply{kind: replyPong, body: line[1:]}, nil
	case '-':
		return reply{kind: replyError, body: line[1:]}, nil
	}
	return reply{}, fmt.Errorf("%w: %.40q", errProtocol, line)
}

func (p *replies) array(n int) (reply, error) {
	name, err := p.word()
	if err != nil {
		return reply{}, err
	}
	switch {
	case n == 3 && (string(name) == "message" || string(name) == "smessage"):
		return p.message()
	case n == 4 && string(name) == "pmessage":
		if _, err := p.word(); err != nil { // the pattern
			return reply{}, err
		}
		return p.message()
	case n == 2 && string(name) == "pong":
		_, err := p.word()
		return reply{kind: replyPong}, err
	case n == 3:
		var r reply
		switch string(name) {
		case "subscribe":
			r = reply{kind: replySubscribed, sub: subChannel}
		case "psubscribe":
			r = reply{kind: replySubscribed, sub: subPattern}
		case "ssubscribe":
			r = reply{kind: replySubscribed, sub: subShard}
		case "unsubscribe":
			r = reply{kind: replyUnsubscribed, sub: subChannel}
		case "punsubscribe":
			r = reply{kind: replyUnsubscribed, sub: subPattern}
		case "sunsubscribe":
			r = reply{kind: replyUnsubscribed, sub: subShard}
		default:
			return reply{}, fmt.Errorf("%w: %.40q", errProtocol, name)
		}
		long := false
		if r.channel, long, err = p.channel(); err != nil {
			return reply{}, err
		}
		if long {
			return reply{}, fmt.Errorf("%w: a channel of our own is too long", errProtocol)
		}
		count, err := p.line()
		if err != nil || count[0] != ':' {
			return reply{}, errors.Join(err, errProtocol)
		}
		return r, nil
	}
	return reply{}, fmt.Errorf("%w: %.40q with %d elements", errProtocol, name, n)
}

func (p *replies) message() (reply, error) {
	channel, long, err := p.channel()
	if err != nil {
		return reply{}, err
	}
	n, err := p.length()
	if err != nil {
		return reply{}, err
	}
	if n > p.max || long {
		_, err := p.r.Discard(n + 2)
		return reply{kind: replyTooBig, channel: channel}, err
	}
	body, err := p.bytes(n)
	return reply{kind: replyMessage, channel: channel, body: body}, err
}

// bytes returns the next n bytes, which a line end follows, in place where they fit in the reader's buffer.
func (p *replies) bytes(n int) ([]byte, error) {
	if n+2 <= p.r.Size() {
		b, err := p.r.Peek(n + 2)
		if err != nil {
			return nil, err
		}
		p.pop = n + 2
		return ended(b)
	}
	if cap(p.big) < n+2 {
		p.big = make([]byte, n+2)
	}
	b := p.big[:n+2]
	if _, err := io.ReadFull(p.r, b); err != nil {
		return nil, err
	}
	return ended(b)
}

// release forgets the last reply's bytes.
func (p *replies) release() {
	if p.pop > 0 {
		_, _ = p.r.Discard(p.pop) // they are in the buffer
		p.pop = 0
	}
	if cap(p.big) > 1<<20 {
		p.big = nil // one huge message does not cost its memory for ever
	}
}

// channel reads a bulk string that stays valid until the next reply. Nil, which an UNSUBSCRIBE without channels brings,
// is never what we have asked for. One that is too long is skipped.
func (p *replies) channel() (name []byte, long bool, err error) {
	n, err := p.length()
	if err != nil {
		return nil, false, err
	}
	if n > maxChannel {
		_, err := p.r.Discard(n + 2)
		return nil, true, err
	}
	if cap(p.ch) < n+2 {
		p.ch = make([]byte, n+2)
	}
	p.ch = p.ch[:n+2]
	if _, err := io.ReadFull(p.r, p.ch); err != nil {
		return nil, false, err
	}
	name, err = ended(p.ch)
	return name, false, err
}

// word reads a bulk string that is used at once: a name, a pattern.
func (p *replies) word() ([]byte, error) {
	n, err := p.length()
	if err != nil {
		return nil, err
	}
	if n+2 > p.r.Size() {
		_, err := p.r.Discard(n + 2)
		return nil, err
	}
	b, err := p.r.Peek(n + 2)
	if err != nil {
		return nil, err
	}
	_, _ = p.r.Discard(n + 2) // b stays as it is until the next read
	return ended(b)
}

// length reads the head of a bulk string.
func (p *replies) length() (int, error) {
	line, err := p.line()
	if err != nil {
		return 0, err
	}
	n, err := number(line[1:])
	if line[0] != '$' || err != nil || n > maxBulk {
		return 0, fmt.Errorf("%w: %.40q where a string begins", errProtocol, line)
	}
	return n, nil
}

// maxBulk is what Redis itself allows (proto-max-bulk-len).
const maxBulk = 512 << 20

// line reads a line of at least one byte, without its end.
func (p *replies) line() ([]byte, error) {
	b, err := p.r.ReadSlice('\n')
	if err != nil {
		if errors.Is(err, bufio.ErrBufferFull) {
			err = fmt.Errorf("%w: a line without an end", errProtocol)
		}
		return nil, err
	}
	if len(b) < 3 || len(b) > maxLine {
		return nil, fmt.Errorf("%w: a line of %d bytes", errProtocol, len(b))
	}
	return ended(b)
}

// ended cuts the line end off.
func ended(b []byte) ([]byte, error) {
	n := len(b) - 2
	if b[n] != '\r' || b[n+1] != '\n' {
		return nil, fmt.Errorf("%w: a line that does not end", errProtocol)
	}
	return b[:n], nil
}

// number parses a length.
func number(b []byte) (int, error) {
	if len(b) == 0 || len(b) > 10 {
		return 0, errProtocol
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return 0, errProtocol
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}

// appendCommand appends a command as a client sends it.
func appendCommand(b []byte, words ...string) []byte {
	b = fmt.Appendf(b, "*%d\r\n", len(words))
	for _, w := range words {
		b = fmt.Appendf(b, "$%d\r\n", len(w))
		b = append(b, w...)
		b = append(b, "\r\n"...)
	}
	return b
}
