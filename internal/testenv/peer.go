package testenv

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// Peer is a Node.js process with one node of a Socket.IO cluster, that may use any of the official Redis adapters, and
// with official clients, which may be those of any node. transports/redis/testdata/peer/peer.mjs says what it
// understands. Any goroutine.
type Peer struct {
	t     testing.TB
	cmd   *exec.Cmd
	in    io.WriteCloser
	done  chan struct{} // closed when the process has ended
	errs  *output       // what it printed on stderr
	URL   string        // of its node, once there is one
	moved chan struct{} // closed, and replaced, with each line; guarded by mu

	mu      sync.Mutex
	last    int
	answers map[int]chan peerLine
	heard   map[string][]string // by client: the events it got, as JSON
	states  map[string][]PeerState
	served  []string // events of other nodes
}

// PeerState is a client's change of state.
type PeerState struct {
	State     string // connect, disconnect, connect_error
	ID        string
	Recovered bool
	Reason    string
}

// peerLine is one line of the process: an answer, or what somebody has seen.
type peerLine struct {
	ID        int
	OK        json.RawMessage
	Error     string
	Client    string
	Got       json.RawMessage
	State     string
	SID       string
	Recovered bool
	Reason    string
	SSE       json.RawMessage
}

// PeerNode configures the node of a [Peer].
type PeerNode struct {
	Redis      string         `json:"redis,omitempty"` // "redis://127.0.0.1:port"
	Adapter    string         `json:"adapter"`         // classic, sharded, streams, none
	Options    map[string]any `json:"options,omitempty"`
	Namespaces []string       `json:"namespaces,omitempty"` // default "/"; "/^…" is a regular expression
	Server     map[string]any `json:"server,omitempty"`     // of socket.io's Server
}

// PeerClient configures a client.
type PeerClient struct {
	Name    string         `json:"name"`
	URL     string         `json:"url"`
	Space   string         `json:"nsp,omitempty"`     // default "/"
	Options map[string]any `json:"options,omitempty"` // of socket.io-client; auth is among them
	Answer  string         `json:"answer,omitempty"`  // "(event, ...args) => …": the acks it gives
}

// peerPatience bounds each wait for a peer. Nothing is decided by its length.
const peerPatience = time.Minute

// NewPeer starts the process, which ends with the test.
func NewPeer(t testing.TB) *Peer {
	t.Helper()
	node := Node(t)
	dir := filepath.Join(here(t), "..", "..", "transports", "redis", "testdata", "peer")
	NPM(t, dir)
	p := &Peer{
		t: t, cmd: exec.Command(node, "peer.mjs"), done: make(chan struct{}), errs: newOutput(), moved: make(chan struct{}),
		answers: make(map[int]chan peerLine), heard: make(map[string][]string), states: make(map[string][]PeerState),
	}
	p.cmd.Dir, p.cmd.Stderr = dir, p.errs
	p.cmd.WaitDelay = 10 * time.Second
	in, err := p.cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.in = in
	if err := p.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", p.cmd.Path, err)
	}
	go p.read(out)
	t.Cleanup(p.Stop)
	return p
}

// Stop ends the process and waits.
func (p *Peer) Stop() {
	_ = p.in.Close()
	select {
	case <-p.done:
	case <-time.After(10 * time.Second):
		p.Kill()
	}
}

// Kill ends the process at once, as a crash would, and waits.
func (p *Peer) Kill() {
	_ = p.cmd.Process.Kill()
	<-p.done
}

// Pid is the process's id.
func (p *Peer) Pid() int { return p.cmd.Process.Pid }

// read takes what the process prints until it ends.
func (p *Peer) read(out io.Reader) {
	lines := bufio.NewReader(out)
	for {
		text, err := lines.ReadBytes('\n')
		if len(text) > 0 {
			p.line(text)
		}
		if err != nil {
			break
		}
	}
	_ = p.cmd.Wait() // it ended; how does not matter
	p.mu.Lock()
	defer p.mu.Unlock()
	close(p.done)
	p.stirLocked()
}

func (p *Peer) stirLocked() {
	close(p.moved)
	p.moved = make(chan struct{})
}

func (p *Peer) line(text []byte) {
	var l peerLine
	if json.Unmarshal(text, &l) != nil {
		_, _ = p.errs.Write(text) // somebody's console.log
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case l.State != "":
		p.states[l.Client] = append(p.states[l.Client], PeerState{l.State, l.SID, l.Recovered, l.Reason})
	case l.Client != "":
		p.heard[l.Client] = append(p.heard[l.Client], string(l.Got))
	case l.SSE != nil:
		p.served = append(p.served, string(l.SSE))
	default:
		if c := p.answers[l.ID]; c != nil {
			delete(p.answers, l.ID)
			c <- l
		}
	}
	p.stirLocked()
}

// call gives the process a command and waits for its answer.
func (p *Peer) call(do string, fields any) (json.RawMessage, error) {
	body, err := json.Marshal(fields)
	if err != nil {
		return nil, err
	}
	answer := make(chan peerLine, 1)
	p.mu.Lock()
	p.last++
	id := p.last
	p.answers[id] = answer
	head := fmt.Appendf(nil, `{"id":%d,"do":%q`, id, do)
	if !bytes.Equal(body, []byte("{}")) {
		head = append(head, ',')
	}
	_, err = p.in.Write(append(append(head, body[1:]...), '\n'))
	p.mu.Unlock()
	if err != nil {
		return nil, fmt.Errorf("the peer is gone: %w\n%s", err, p.errs.String())
	}
	timer := time.NewTimer(peerPatience)
	defer timer.Stop()
	select {
	case l := <-answer:
		if l.Error != "" {
			return nil, fmt.Errorf("%s", l.Error)
		}
		return l.OK, nil
	case <-p.done:
		return nil, fmt.Errorf("the peer has ended\n%s", p.errs.String())
	case <-timer.C:
		return nil, fmt.Errorf("no answer to %s\n%s", do, p.errs.String())
	}
}

// Serve starts the process's node; its URL is then known.
func (p *Peer) Serve(o PeerNode) {
	p.t.Helper()
	ok, err := p.call("node", o)
	if err != nil {
		p.t.Fatalf("starting a Node.js node: %v", err)
	}
	var node struct{ URL string }
	if err := json.Unmarshal(ok, &node); err != nil {
		p.t.Fatal(err)
	}
	p.URL = node.URL
}

// Close closes the node, as an orderly shutdown does.
func (p *Peer) Close() {
	p.t.Helper()
	if _, err := p.call("close", struct{}{}); err != nil {
		p.t.Fatal(err)
	}
}

// Client connects a client and returns its session's id.
func (p *Peer) Client(o PeerClient) (id string) {
	p.t.Helper()
	ok, err := p.call("client", o)
	if err != nil {
		p.t.Fatalf("connecting a client to %s: %v", o.URL, err)
	}
	var client struct{ ID string }
	if err := json.Unmarshal(ok, &client); err != nil {
		p.t.Fatal(err)
	}
	return client.ID
}

// Try runs JavaScript in the process and returns what comes of it, as JSON. args are `args` there.
func (p *Peer) Try(code string, args ...any) (string, error) {
	if args == nil {
		args = []any{}
	}
	ok, err := p.call("run", map[string]any{"code": code, "args": args})
	return string(ok), err
}

// Run is Try for what must not fail.
func (p *Peer) Run(code string, args ...any) string {
	p.t.Helper()
	out, err := p.Try(code, args...)
	if err != nil {
		p.t.Fatalf("%s: %v", code, err)
	}
	return out
}

// Heard is the events that a client has got so far, as JSON.
func (p *Peer) Heard(client string) []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.heard[client]...)
}

// Forget empties the lists of events.
func (p *Peer) Forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	clear(p.heard)
	p.served = nil
}

// Served is the events `sse` of other nodes so far: their arguments, as JSON.
func (p *Peer) Served() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.served...)
}

// States is what has become of a client's connection so far.
func (p *Peer) States(client string) []PeerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]PeerState(nil), p.states[client]...)
}

// Wait waits until cond holds, and looks again whenever the process has said something.
func (p *Peer) Wait(what string, cond func() bool) {
	p.t.Helper()
	timer := time.NewTimer(peerPatience)
	defer timer.Stop()
	for {
		p.mu.Lock()
		moved := p.moved
		p.mu.Unlock()
		if cond() {
			return
		}
		select {
		case <-moved:
		case <-p.done:
			if !cond() {
				p.t.Fatalf("the peer ended while %s was waited for\n%s", what, p.errs.String())
			}
			return
		case <-timer.C:
			p.t.Fatalf("waited in vain for %s\n%s", what, p.errs.String())
		}
	}
}

// WaitHeard waits until a client has got n events, and returns them.
func (p *Peer) WaitHeard(client string, n int) []string {
	p.t.Helper()
	p.Wait(fmt.Sprintf("%d events of client %s", n, client), func() bool { return len(p.Heard(client)) >= n })
	return p.Heard(client)
}
