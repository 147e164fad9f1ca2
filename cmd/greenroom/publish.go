package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"greenroom/transports/zeromq"
)

// maxInput bounds what `publish` reads from standard input, in bytes.
const maxInput = 1 << 20

type publishCmd struct {
	To      string        `default:"tcp://127.0.0.1:5560" help:"Where to publish: a server's ZeroMQ PULL endpoint, or its http:// address for Socket.IO, which confirms."`
	Name    string        `help:"Name to publish under (Socket.IO only)."`
	Timeout time.Duration `default:"5s" help:"How long to wait for the server."`
	Peer    peerFlags     `embed:""`

	Room  string   `arg:"" help:"Room to publish into."`
	Words []string `arg:"" name:"event-data" help:"[EVENT] DATA. Without an event it is 'message'. DATA that is a JSON object or array is sent as such, anything else as text; '-' reads it from standard input."`
}

func (c *publishCmd) Run(ctx context.Context, std *streams) error {
	if err := checkServer("--to", c.To); err != nil {
		return err
	}
	event, data := "message", ""
	switch len(c.Words) {
	case 1:
		data = c.Words[0]
	case 2:
		event, data = c.Words[0], c.Words[1]
	default:
		return misuse("publish ROOM [EVENT] DATA takes one or two words behind the room, got %d: quote the data", len(c.Words))
	}
	if data == "-" {
		b, err := io.ReadAll(io.LimitReader(std.in, maxInput+1))
		if err != nil {
			return fmt.Errorf("reading standard input: %w", err)
		}
		if len(b) > maxInput {
			return fmt.Errorf("standard input holds more than %d bytes", maxInput)
		}
		data = strings.TrimSuffix(string(b), "\n")
	}
	ctx, cancel := context.WithTimeout(ctx, c.Timeout)
	defer cancel()
	if !overHTTP(c.To) {
		return c.push(ctx, event, data)
	}
	if c.Peer.used() {
		return errPeerFlags
	}
	client, err := dialSocketIO(ctx, c.To, c.Name)
	if err != nil {
		return err
	}
	defer client.Close()
	var answer struct {
		ID string `json:"id"`
	}
	if err := client.Call(ctx, &answer, "publish", c.Room, event, textOrJSON(data)); err != nil {
		return err
	}
	_, err = fmt.Fprintln(std.out, answer.ID)
	return err
}

// push publishes over ZeroMQ and returns when the server has read the message. Nobody says whether it took
// it, so that what it would not take is refused here.
func (c *publishCmd) push(ctx context.Context, event, data string) error {
	frames := [][]byte{[]byte(c.Room), []byte(event), []byte(data)}
	_, err := zeromq.Greenroom.Parse(frames, zeromq.Format{Namespace: "/"})
	if refused := (*zeromq.Refusal)(nil); errors.As(err, &refused) {
		return errors.New(refused.Detail)
	}
	d, err := c.Peer.dialer()
	if err != nil {
		return err
	}
	p, err := d.Push(ctx, c.To)
	if err != nil {
		return silent(err, "--to", c.To)
	}
	err = p.Send(frames...)
	return errors.Join(err, p.Close())
}

// silent adds to the error of a server that does not answer what is the likely cause: its HTTP port waits for
// a request as long as a client that speaks ZeroMQ waits for a greeting.
func silent(err error, flag, addr string) error {
	if host, ok := strings.CutPrefix(addr, "tcp://"); ok && errors.Is(err, zeromq.ErrNoGreeting) {
		return fmt.Errorf("%w (if it is an HTTP port, say %s http://%s)", err, flag, host)
	}
	return err
}

func overHTTP(addr string) bool {
	return strings.HasPrefix(addr, "http://") || strings.HasPrefix(addr, "https://")
}

// textOrJSON applies the rule of the ZeroMQ endpoints: an object or array is that value, else text.
func textOrJSON(s string) any {
	if b := bytes.TrimSpace([]byte(s)); len(b) > 0 && (b[0] == '{' || b[0] == '[') && json.Valid(b) {
		return json.RawMessage(b)
	}
	return s
}

type listenCmd struct {
	From  string    `default:"tcp://127.0.0.1:5561" help:"Where to listen: a server's ZeroMQ XPUB endpoint, or its http:// address for Socket.IO."`
	Name  string    `help:"Name to listen under (Socket.IO only)."`
	Peer  peerFlags `embed:""`
	JSON  bool      `name:"json" help:"Print one JSON object a line: {room, event, args}."`
	Rooms []string  `arg:"" name:"room" help:"Rooms to listen to."`
}

func (c *listenCmd) Run(ctx context.Context, std *streams) error {
	if err := checkServer("--from", c.From); err != nil {
		return err
	}
	if overHTTP(c.From) {
		if c.Peer.used() {
			return errPeerFlags
		}
		return c.overSocketIO(ctx, std.out)
	}
	return c.overZeroMQ(ctx, std.out)
}

func (c *listenCmd) overZeroMQ(ctx context.Context, out io.Writer) error {
	d, err := c.Peer.dialer()
	if err != nil {
		return err
	}
	sub, err := d.Subscribe(ctx, c.From, c.Rooms...)
	if err != nil {
		return silent(err, "--from", c.From)
	}
	defer sub.Close()
	for {
		frames, err := sub.Receive(ctx)
		if err != nil {
			return err
		}
		// A subscription is a prefix: "room1" brings "room10" too.
		if len(frames) < 2 || !slices.Contains(c.Rooms, string(frames[0])) {
			continue
		}
		args := make([]any, 0, len(frames)-2)
		for _, f := range frames[2:] {
			args = append(args, shown(f))
		}
		if err := c.print(out, string(frames[0]), string(frames[1]), args); err != nil {
			return err
		}
	}
}

// shown is a frame as what the payload rule makes of it; binary data as its length.
func shown(f []byte) any {
	if !utf8.Valid(f) {
		return described(f)
	}
	return textOrJSON(string(f))
}

func (c *listenCmd) overSocketIO(ctx context.Context, out io.Writer) error {
	client, err := dialSocketIO(ctx, c.From, c.Name)
	if err != nil {
		return err
	}
	defer client.Close()
	for _, room := range c.Rooms {
		if err := client.Call(ctx, nil, "join", room); err != nil {
			return fmt.Errorf("joining %q: %w", room, err)
		}
	}
	return client.Events(ctx, func(event string, raw []json.RawMessage) error {
		var meta struct {
			Room string `json:"room"`
		}
		args := make([]any, len(raw))
		for i, r := range raw {
			args[i] = r
		}
		if n := len(raw); n > 0 {
			_ = json.Unmarshal(raw[n-1], &meta) // an event without meta has no room to show
		}
		return c.print(out, meta.Room, event, args)
	})
}

func (c *listenCmd) print(w io.Writer, room, event string, args []any) error {
	if c.JSON {
		line, err := json.Marshal(map[string]any{"room": room, "event": event, "args": args})
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s\n", line)
		return err
	}
	words := []string{word(room), word(event)}
	for _, a := range args {
		line, err := json.Marshal(a) // quoting keeps control characters out of a terminal
		if err != nil {
			return err
		}
		words = append(words, string(line))
	}
	_, err := fmt.Fprintln(w, strings.Join(words, "  "))
	return err
}

// word is a name as it is when it can be shown to people, else quoted: names are clients' text, which could
// hold what a terminal obeys.
func word(s string) string {
	for _, r := range s {
		if !strconv.IsGraphic(r) || r == utf8.RuneError {
			return strconv.QuoteToASCII(s)
		}
	}
	return s
}
