package socketio

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"greenroom/coop"
	"greenroom/hub"
)

// poller is the client's end of a polling session.
type poller struct {
	t   testing.TB
	url string // with the session's id
}

// poll opens a polling session.
func (f *fixture) poll(t testing.TB) *poller {
	t.Helper()
	p := &poller{t: t, url: f.url + "/socket.io/?EIO=4&transport=polling"}
	open := p.get()
	_, rest, ok := strings.Cut(open, `{"sid":"`)
	sid, _, _ := strings.Cut(rest, `"`)
	if !ok || len(sid) != 20 {
		t.Fatalf("opened with %q", open)
	}
	p.url += "&sid=" + sid
	t.Cleanup(func() {
		if res, err := http.Post(p.url, "text/plain;charset=UTF-8", strings.NewReader("1")); err == nil {
			res.Body.Close() // whatever it says, the session is over
		}
		http.DefaultClient.CloseIdleConnections()
	})
	return p
}

func (p *poller) get() string {
	p.t.Helper()
	return p.read(http.Get(p.url))
}

func (p *poller) post(body string) {
	p.t.Helper()
	if got := p.read(http.Post(p.url, "text/plain;charset=UTF-8", strings.NewReader(body))); got != "ok" {
		p.t.Fatalf("POST %q: %q", body, got)
	}
}

func (p *poller) read(res *http.Response, err error) string {
	p.t.Helper()
	if err != nil {
		p.t.Fatal(err)
	}
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return string(body)
}

// joinPolling connects to "/" of serveEcho over polling.
func (f *fixture) joinPolling(t *testing.T) *poller {
	t.Helper()
	p := f.poll(t)
	p.post("40")
	p.hears(t, func(packet string) bool { return packet == `42["auth",{}]` })
	return p
}

// hears takes polls until a packet is one that is waited for.
func (p *poller) hears(t *testing.T, wanted func(packet string) bool) {
	t.Helper()
	for range 100 {
		for _, packet := range strings.Split(p.get(), "\x1e") {
			if wanted(packet) {
				return
			}
			if packet == "2" {
				p.post("3")
			}
		}
	}
	t.Fatal("waited in vain for a packet")
}

// A packet that makes no sense ends a polling session as well: what came before it in the body counts, what
// comes after it does not.
func TestMalformedPacketOverPolling(t *testing.T) {
	f := serveEcho(t, settings{})
	bystander, _ := f.join(t, "/")
	bystander.send(`420["join","room"]`)
	bystander.want(`430["ok"]`)
	for _, bad := range []string{`42{}`, `4abc`, `bAQ==`, `44{}`, "451-[\"x\"]\x1e42[\"x\"]"} {
		t.Run(bad, func(t *testing.T) {
			p := f.joinPolling(t)
			p.post(`42["say","room","before"]` + "\x1e" + bad + "\x1e" + `42["say","room","after"]`)
			bystander.want(`42["said","before"]`)
			bystander.alive()
			p.hears(t, func(packet string) bool { return packet == "1" })
			res, err := http.Get(p.url)
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode != http.StatusBadRequest {
				t.Errorf("a poll after the end is answered %d", res.StatusCode)
			}
			f.left(t, 1)
		})
	}
}

// Over polling a client is held up by its own POST: the answer comes when the handler has taken what the inbox
// had no room for.
func TestBusyHandlerHoldsUpAPost(t *testing.T) {
	const events = 500
	release := new(coop.Event)
	f := serve(t, settings{hub: hub.Options{Loops: 1, InboxEvents: 16}})
	f.handle(t, "/", func(s *hub.Session) error {
		if err := release.Wait(s.Greenlet()); err != nil {
			return err
		}
		return echo(s)
	})
	p := f.poll(t)
	p.post("40")
	packets := make([]string, events)
	for i := range packets {
		packets[i] = fmt.Sprintf(`42%d["ack",%d]`, i, i)
	}
	answered := make(chan struct{})
	go func() {
		defer close(answered)
		p.post(strings.Join(packets, "\x1e"))
	}()
	f.counted(t, "socketio_reading_paused", 1)
	select {
	case <-answered:
		t.Error("the POST was answered before its packets were taken")
	default:
	}
	f.hub.Loops().All()[0].Post(release.Set)
	next := 0
	p.hears(t, func(packet string) bool {
		if strings.HasPrefix(packet, "43") {
			if want := fmt.Sprintf(`43%d[%d]`, next, next); packet != want {
				t.Errorf("got %s, want %s", packet, want)
			}
			next++
		}
		return next == events
	})
	<-answered
}
