package zeromq

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
	"unicode"

	"github.com/go-zeromq/zmq4"

	"greenroom/transports/zeromq/internal/guard"
)

// Examination says how [Diagnose] connects.
type Examination struct {
	Dialer Dialer
	// As is the socket type to connect with. "" tries those that could fit, except those that would take messages
	// from others.
	As string
	// Topic is what a SUB subscribes to. Default everything.
	Topic string
	// Wait is how long to wait for each answer. Default 3 s.
	Wait time.Duration
}

// Report is what [Diagnose] has found, in order.
type Report struct{ Findings []Finding }

// Finding is one sentence. Bad ones need somebody to do something.
type Finding struct {
	Text string
	Bad  bool
}

// Well reports whether nothing bad was found.
func (r Report) Well() bool {
	return !slices.ContainsFunc(r.Findings, func(f Finding) bool { return f.Bad })
}

// Diagnose connects to a ZeroMQ endpoint, of any library, and says in plain words what is wrong with it. It takes
// several connections and, at worst, several times Wait. A PUSH, DEALER or REQ socket there would deal messages to the
// one who examines it: such a type is only used when Examination.As asks for it.
func Diagnose(ctx context.Context, endpoint string, e Examination) Report {
	if e.Wait <= 0 {
		e.Wait = 3 * time.Second
	}
	d := &doctor{Examination: e, ctx: ctx, endpoint: endpoint}
	d.examine()
	return d.report
}

// doctor is one examination.
type doctor struct {
	Examination
	ctx      context.Context
	endpoint string
	report   Report
}

func (d *doctor) good(format string, args ...any) {
	d.report.Findings = append(d.report.Findings, Finding{legible(fmt.Sprintf(format, args...)), false})
}

func (d *doctor) bad(format string, args ...any) {
	d.report.Findings = append(d.report.Findings, Finding{legible(fmt.Sprintf(format, args...)), true})
}

// legible is one line for a terminal: some of its words may be a stranger's.
func legible(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return '?'
	}, strings.ToValidUTF8(s, "?"))
}

// mechanism is the one that the examiner would speak.
func (d *doctor) mechanism() string {
	switch {
	case d.Dialer.ServerKey != PublicKey{}:
		return "CURVE"
	case d.Dialer.User != "" || d.Dialer.Password != "":
		return "PLAIN"
	}
	return "NULL"
}

func (d *doctor) examine() {
	theirs, peerType, ok := d.greet()
	if !ok {
		return
	}
	if ours := d.mechanism(); theirs != ours {
		d.bad("It speaks the security mechanism %s, and you %s: %s.", theirs, ours, mechanismAdvice(theirs))
		return
	}
	types := []string{d.As}
	switch {
	case d.As != "":
	case peerType != "":
		typ, ok := d.choose(peerType)
		if !ok {
			return
		}
		types = []string{typ}
	default:
		types = []string{"SUB", "PUSH", "PUB", "REQ"}
	}
	for tried := []string(nil); ; {
		typ := types[0]
		types, tried = types[1:], append(tried, typ)
		c, err := d.connect(typ)
		if err == nil {
			d.talk(c, typ)
			return
		}
		if d.As == "" {
			if other := otherType(err); other != "" {
				next, ok := d.choose(other)
				if !ok {
					return
				}
				if !slices.Contains(tried, next) {
					types = []string{next}
					continue
				}
			}
			// A type that does not go with theirs may be all that is wrong.
			if len(types) > 0 && hungUp(err) {
				continue
			}
		}
		d.explain(typ, err, len(tried) > 1)
		return
	}
}

// choose is the type to connect to a peer with, unless it is better not to.
func (d *doctor) choose(peer string) (typ string, ok bool) {
	switch typ = suited(peer); {
	case typ == "":
		d.bad("It is a %s socket, of which nobody here knows what fits.", peer)
	case takesMessages(typ, peer):
		d.bad("It is a %s socket, which would deal its messages to this examination: say --as %s if it may.", peer, strings.ToLower(typ))
	default:
		return typ, true
	}
	return "", false
}

// hungUp reports whether the peer closed without a reason.
func hungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// connect shakes hands as a socket of typ.
func (d *doctor) connect(typ string) (*client, error) {
	ctx, cancel := context.WithTimeout(d.ctx, d.Wait)
	defer cancel()
	return d.Dialer.connect(ctx, d.endpoint, zmq4.SocketType(typ))
}

// dial makes a connection for bytes.
func (d *doctor) dial() (net.Conn, error) {
	ctx, cancel := context.WithTimeout(d.ctx, d.Wait)
	defer cancel()
	return dial(ctx, d.endpoint)
}

// greet finds out who is there. It returns the mechanism of a ZeroMQ socket, and its type if that tells it first.
func (d *doctor) greet() (mechanism, peerType string, ok bool) {
	if _, _, err := parseEndpoint(d.endpoint); err != nil {
		d.bad("This is no endpoint: %v.", err)
		return "", "", false
	}
	c, said, closed, err := d.greeted(d.mechanism())
	if err == nil && closed && len(said) < 64 && d.mechanism() != "NULL" { // it may close on another mechanism before it greets
		_ = c.Close()
		c, said, closed, err = d.greeted("NULL")
	}
	if err != nil {
		d.bad("%s", unreachable(d.endpoint, err))
		return "", "", false
	}
	defer c.Close()
	if len(said) < 64 || said[0] != 0xFF || said[9] != 0x7F {
		d.foreign(said, closed)
		return "", "", false
	}
	if version := said[10]; version < 3 {
		d.bad("It greets in ZMTP %d: its library is older than libzmq 4.0, and has to be replaced.", max(version+1, 2))
		return "", "", false
	}
	name, _, _ := strings.Cut(string(said[12:32]), "\x00")
	d.good("A ZeroMQ socket answers: ZMTP %d.%d, security mechanism %s.", said[10], said[11], name)
	if name == "NULL" && d.mechanism() == "NULL" {
		peerType = d.peek(c, said[64:])
	}
	return name, peerType, true
}

// greeted connects, greets, and hears the peer's greeting. libzmq closes on another mechanism before it has named its own,
// which it does as soon as it knows our version: it is told no more at first.
func (d *doctor) greeted(mechanism string) (c net.Conn, said []byte, closed bool, err error) {
	if c, err = d.dial(); err != nil {
		return c, nil, false, err
	}
	ours := guard.Greeting(mechanism)
	said, closed = d.hear(c, nil, ours[:12], 64, min(d.Wait, time.Second))
	if !closed && (len(said) == 0 || said[0] == 0xFF) {
		said, closed = d.hear(c, said, ours[12:], 64, d.Wait)
	}
	return c, said, closed, err
}

// hear says something and collects what comes back, behind what has come, until there are want bytes, the end, or a time.
func (d *doctor) hear(c net.Conn, said, say []byte, want int, wait time.Duration) (_ []byte, closed bool) {
	if c.SetDeadline(time.Now().Add(wait)) != nil {
		return said, true
	}
	if _, err := c.Write(say); err != nil {
		return said, true
	}
	buf := make([]byte, 4096)
	for len(said) < want {
		n, err := c.Read(buf)
		said = append(said, buf[:n]...)
		if err != nil {
			return said, !errors.Is(err, os.ErrDeadlineExceeded)
		}
		if len(said) > 10 && said[0] == 0xFF && said[9] == 0x7F && said[10] < 3 {
			// ZMTP 2 waits for its own kind of greeting: what is known is enough.
			return append(said, make([]byte, 64)...)[:64], false
		}
		if said[0] != 0xFF {
			return said, false
		}
	}
	return said, false
}

// foreign says what is there that does not greet like ZeroMQ.
func (d *doctor) foreign(said []byte, closed bool) {
	text := string(said)
	switch {
	case strings.HasPrefix(text, "HTTP/"):
		d.bad("An HTTP server is there, and no ZeroMQ socket.")
	case len(said) > 1 && (said[0] == 0x15 || said[0] == 0x16) && said[1] == 3:
		d.bad("A TLS server is there, and no ZeroMQ socket.")
	case len(said) > 9 && said[0] == 0xFF && said[9]&1 == 0, len(said) == 2 && said[0] == 1 && said[1] == 0:
		d.bad("It greets in ZMTP 1: its library is older than libzmq 3.0, and has to be replaced.")
	case len(said) > 0 && said[0] == 0xFF && !closed:
		d.bad("It stops in the middle of its greeting, after %d bytes.", len(said))
	case len(said) > 9 && said[0] == 0xFF && said[9] == 0x7F:
		d.bad("It closes the connection in the middle of its greeting, after %d bytes.", len(said))
	case len(said) > 0:
		d.bad("Something else than ZeroMQ is there; it says %.40q.", text)
	case d.speaksTLS(): // first: some answer HTTP there as well, to say that they speak TLS
		d.bad("A TLS server is there, and no ZeroMQ socket.")
	case d.speaksHTTP():
		d.bad("An HTTP server is there, and no ZeroMQ socket.")
	case closed:
		d.bad("It takes connections and closes them without a word: it is no ZeroMQ socket, or has no room for one more peer.")
	default:
		d.bad("It takes connections and says nothing for %v. A ZeroMQ socket greets at once: the process hangs, or speaks something else.", d.Wait)
	}
}

func (d *doctor) speaksHTTP() bool {
	c, err := d.dial()
	if err != nil {
		return false
	}
	defer c.Close()
	said, _ := d.hear(c, nil, []byte("GET / HTTP/1.0\r\nHost: localhost\r\n\r\n"), 5, d.Wait)
	return strings.HasPrefix(string(said), "HTTP/")
}

func (d *doctor) speaksTLS() bool {
	c, err := d.dial()
	if err != nil {
		return false
	}
	defer c.Close()
	ctx, cancel := context.WithTimeout(d.ctx, d.Wait)
	defer cancel()
	err = tls.Client(c, &tls.Config{InsecureSkipVerify: true}).HandshakeContext(ctx) // it is only asked whether it is TLS
	return err == nil || errors.As(err, new(tls.AlertError))
}

// peek reads the READY that libzmq sends before it has seen ours. "" when none comes soon: others look first.
func (d *doctor) peek(c net.Conn, have []byte) string {
	if c.SetReadDeadline(time.Now().Add(min(d.Wait, 300*time.Millisecond))) != nil {
		return ""
	}
	buf := make([]byte, 512)
	for {
		if len(have) > 2 && have[0] == 4 && len(have) >= 2+int(have[1]) {
			body, ok := strings.CutPrefix(string(have[2:2+int(have[1])]), "\x05READY")
			if !ok {
				return ""
			}
			props, err := guard.Properties([]byte(body))
			if err != nil {
				return ""
			}
			return props["socket-type"]
		}
		n, err := c.Read(buf)
		have = append(have, buf[:n]...)
		if err != nil || len(have) > 4096 {
			return ""
		}
	}
}

// unreachable says why there is no connection.
func unreachable(endpoint string, err error) string {
	var dns *net.DNSError
	var timeout net.Error
	switch {
	case errors.As(err, &dns):
		return fmt.Sprintf("No machine has the name %q.", dns.Name)
	case errors.Is(err, syscall.ECONNREFUSED):
		return "Nobody listens at " + endpoint + "."
	case errors.Is(err, fs.ErrNotExist):
		return "There is no socket file " + strings.TrimPrefix(endpoint, "ipc://") + ": nobody listens there."
	case errors.Is(err, fs.ErrPermission):
		return "This user may not open " + endpoint + "."
	case errors.As(err, &timeout) && timeout.Timeout(), errors.Is(err, context.DeadlineExceeded):
		return "The machine does not answer: it is down, or something between drops the packets."
	}
	return "No connection: " + err.Error() + "."
}

func mechanismAdvice(theirs string) string {
	switch theirs {
	case "CURVE":
		return "give its public key with --server-key, and yours with --key"
	case "PLAIN":
		return "give --user and --password"
	case "NULL":
		return "leave out --server-key and --user"
	}
	return "nothing here speaks it"
}

var (
	ofPeer  = regexp.MustCompile(`a "([A-Z]+)" peer on a [A-Z]+ endpoint`)    // our own check
	ofOther = regexp.MustCompile(`a "?[A-Z?]+"? peer on a ([A-Z]+) endpoint`) // what a Greenroom server says
)

// otherType is the peer's socket type when that was why the handshake failed.
func otherType(err error) string {
	var v *guard.Violation
	if !errors.As(err, &v) {
		return ""
	}
	if v.Reason == guard.ReasonSocketType {
		if m := ofPeer.FindStringSubmatch(v.Detail); m != nil {
			return m[1]
		}
	}
	if v.Reason == guard.ReasonPeerError {
		if m := ofOther.FindStringSubmatch(v.Detail); m != nil {
			return m[1]
		}
	}
	return ""
}

// suited is the type to connect to a peer of this one with.
func suited(peer string) string {
	return map[string]string{
		"PUB": "SUB", "XPUB": "SUB", "SUB": "PUB", "XSUB": "PUB", "PULL": "PUSH", "PUSH": "PULL",
		"REP": "REQ", "ROUTER": "REQ", "REQ": "REP", "DEALER": "REP", "PAIR": "PAIR",
	}[peer]
}

// takesMessages reports whether a peer gives messages meant for others to whoever connects.
func takesMessages(ours, theirs string) bool {
	return ours == "PULL" || ours == "PAIR" || ours == "REP" || theirs == "DEALER"
}

// explain says why a handshake failed.
func (d *doctor) explain(typ string, err error, triedAll bool) {
	var v *guard.Violation
	refused := ""
	if errors.As(err, &v) && v.Reason == guard.ReasonPeerError {
		refused = v.Detail[strings.LastIndex(v.Detail, ":")+1:]
		refused = strings.TrimSpace(refused)
	}
	other := otherType(err)
	switch {
	case other != "":
		d.bad("It is a %s socket, and %s does not go with it: connect with %s.", other, typ, strings.Join(guard.Fitting(other), " or "))
	case errors.Is(err, guard.ErrHelloRefused):
		d.bad("It has another key than the one in --server-key: it closed the connection at the first command.")
	case v != nil && v.Reason == guard.ReasonCurveWelcome:
		d.bad("What answers does not have the key in --server-key: %s.", v.Detail)
	case refused == "400":
		d.bad("It does not let you in (ERROR 400): %s.", deniedAdvice(d.mechanism(), d.Dialer))
	case refused != "":
		d.bad("It refuses the connection: ERROR %s.", refused)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		d.bad("It greets, and does not finish the handshake within %v: it hangs, or waits for who decides whom to let in.", d.Wait)
	case hungUp(err) && triedAll:
		d.bad("It greets and closes, whether one connects with SUB, PUSH, PUB or REQ: say --as if it is for another type; else it lets nobody in at the moment.")
	case hungUp(err):
		d.bad("It greets and closes without a reason: most likely its socket type does not go with %s, or it lets nobody in at the moment.", typ)
	default:
		d.bad("The handshake failed: %v.", err)
	}
}

func deniedAdvice(mechanism string, d Dialer) string {
	switch {
	case mechanism == "CURVE" && d.Key.IsZero():
		return "it wants to know the key, so give yours with --key"
	case mechanism == "CURVE":
		return "it does not know the public key " + d.Key.Public().String()
	case mechanism == "PLAIN":
		return "user or password is wrong"
	}
	return "it decides by address, and yours is none of those"
}

// talk examines a peer that has shaken hands.
func (d *doctor) talk(c *client, typ string) {
	peer := c.guard.PeerType()
	d.good("The handshake is done: it is a %s socket, connected to as %s.", peer, typ)
	pongs, messages, gone := make(chan struct{}, 1), make(chan [][]byte, 1), make(chan struct{})
	c.guard.OnPong(func() { offer(pongs, struct{}{}) })
	go func() {
		defer close(gone)
		for {
			msg, err := c.conn.RecvMsg()
			if err != nil {
				return
			}
			offer(messages, msg.Frames)
		}
	}()
	defer func() {
		c.close()
		<-gone
	}()

	_ = c.guard.Send([]byte("\x04\x07\x04PING\x00\x00")) // it fails when the peer has gone, which await sees
	switch _, what := await(d, pongs, gone); what {
	case came:
		d.good("It answers heartbeats.")
	case left:
		d.left(c, "after the handshake")
		return
	case waited:
		d.bad("It does not answer a heartbeat within %v: its library is older than libzmq 4.2, or the process hangs.", d.Wait)
	}
	switch typ {
	case "SUB", "XSUB":
		_ = c.guard.Send(appendSubscription(nil, 1, d.Topic)) // as above
		about := "everything"
		if d.Topic != "" {
			about = fmt.Sprintf("topics that start with %q", d.Topic)
		}
		switch frames, what := await(d, messages, gone); what {
		case came:
			d.good("Messages come; the first has the topic %.64q.", frames[0])
		case left:
			d.left(c, "at the subscription")
		case waited:
			d.bad("No message came within %v of subscribing to %s: nobody publishes it, or you may not hear it.", d.Wait, about)
		}
	case "PUB", "XPUB":
		switch frames, what := await(d, messages, gone); what {
		case came:
			d.good("It subscribes; the first subscription is to %.64q.", strings.TrimPrefix(string(frames[0]), "\x01"))
		case left:
			d.left(c, "without subscribing")
		case waited:
			d.bad("No subscription came within %v: a %s that has not subscribed hears nothing.", d.Wait, peer)
		}
	}
}

// left says how the connection ended: the peer has closed it, or has said something for which we did.
func (d *doctor) left(c *client, when string) {
	var v *guard.Violation
	if errors.As(c.guard.Err(), &v) {
		d.bad("It breaks ZeroMQ's protocol %s: %s.", when, v.Detail)
		return
	}
	d.bad("It closed the connection %s.", when)
}

// verdict is how waiting ended.
type verdict uint8

const (
	came verdict = iota
	left
	waited
)

// await waits for a value as long as the examiner is patient. What came before the end counts.
func await[T any](d *doctor, values <-chan T, gone <-chan struct{}) (v T, _ verdict) {
	timer := time.NewTimer(d.Wait)
	defer timer.Stop()
	select {
	case v = <-values:
		return v, came
	case <-gone:
		select {
		case v = <-values:
			return v, came
		default:
			return v, left
		}
	case <-timer.C:
	case <-d.ctx.Done():
	}
	return v, waited
}

// offer puts a value where there is room for one.
func offer[T any](c chan<- T, v T) {
	select {
	case c <- v:
	default:
	}
}
