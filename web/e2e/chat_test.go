package e2e

import (
	"fmt"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"greenroom/internal/testenv"
)

// server is where the real server listens, also after it has been started again.
type server struct {
	bin, http, pull string
}

func (s *server) start(t *testing.T) *testenv.Process {
	t.Helper()
	return testenv.Start(t, testenv.Command{
		Path: s.bin,
		Args: []string{"serve", "--listen", s.http, "--zmq-pull", "tcp://" + s.pull, "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off"},
		// /healthz is there when HTTP is; ZeroMQ binds before.
		Ready: testenv.ReadyHTTP("http://" + s.http + "/healthz"),
	})
}

func newServer(t *testing.T) *server {
	t.Helper()
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	return &server{bin: bin, http: testenv.FreeAddr(t), pull: testenv.FreeAddr(t)}
}

// push sends one multipart message with pyzmq and waits until libzmq has handed it over.
func push(t *testing.T, python, endpoint string, frames ...string) {
	t.Helper()
	const program = `
import sys, zmq
context = zmq.Context()
s = context.socket(zmq.PUSH)
s.connect(sys.argv[1])
s.send_multipart([f.encode() for f in sys.argv[2:]])
s.close(linger=10000)
context.term()
`
	args := append([]string{"-c", program, "tcp://" + endpoint}, frames...)
	if out, err := exec.Command(python, args...).CombinedOutput(); err != nil {
		t.Fatalf("pushing over ZeroMQ: %v\n%s", err, out)
	}
}

const connected = `document.body.dataset.state === "connected"`

// row counts the messages that show a text.
func row(text string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#log .row .bubble")].filter(b => b.innerText.includes(%q)).length`, text)
}

func once(text string) string { return row(text) + " === 1" }

func people(names ...string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#members .who")].map(e => e.textContent).sort().join() === %q`, strings.Join(names, ","))
}

func (p *tab) say(text string) {
	p.t.Helper()
	p.do(chromedp.SendKeys("#text", text+kb.Enter))
	p.until(`document.querySelector("#text").value === ""`)
}

func TestChat(t *testing.T) {
	python := testenv.Python(t, "zmq")
	s := newServer(t)
	process := s.start(t)
	res, err := http.Get("http://" + s.http + "/")
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	if res.StatusCode != http.StatusOK {
		t.Fatalf("the server has no chat demo (%s): run make web, and build it again", res.Status)
	}

	b := browser(t)
	door := open(t, b, "door", "http://"+s.http+"/")
	door.until(`document.querySelector("#door").open`)
	door.shot("door")
	door.do(chromedp.SendKeys("#name", "Ann"), chromedp.SendKeys("#room", kb.Enter))
	ann := door
	ann.name = "Ann"
	ann.until(connected)
	ann.until(`location.search === "?room=lobby"`)
	bo := open(t, b, "Bo", "http://"+s.http+"/?room=lobby&name=Bo")
	bo.until(connected)

	for _, p := range []*tab{ann, bo} {
		p.until(people("Ann", "Bo"))
	}
	ann.until(`document.querySelector("#log").innerText.includes("Bo joined")`)

	// The note goes away again, and may be lost when Bo's transport is just changing: then she goes on typing.
	bo.do(chromedp.Evaluate[chromedp.Void](`{
		const note = document.querySelector("#typing");
		new MutationObserver(() => { window.wrote ||= note.textContent === "Ann is writing…" }).observe(note, { childList: true });
	}`))
	ann.do(chromedp.SendKeys("#text", "Hel"))
	for end := time.Now().Add(within); !get(bo, chromedp.Evaluate[bool](`window.wrote === true`)); {
		if time.Now().After(end) {
			t.Fatal("Bo is not told that Ann writes")
		}
		ann.do(chromedp.SendKeys("#text", "x"+kb.Backspace))
	}
	ann.say("lo from Ann <img src=x onerror=alert(1)>")
	bo.until(once("Hello from Ann <img src=x onerror=alert(1)>"))
	bo.until(`document.querySelector("#typing").textContent === ""`)
	ann.until(`document.querySelectorAll(".row.mine:not(.pending) .tick").length === 1`)
	bo.until(`document.querySelectorAll("#log img").length === 0`)

	push(t, python, s.pull, "lobby", "hello")
	push(t, python, s.pull, "lobby", "price", `{"eur": 4.2, "up": true}`)
	for _, p := range []*tab{ann, bo} {
		p.until(`document.querySelectorAll('#log [data-via="zeromq"] .badge').length === 2`)
		p.until(once("hello\n") + " || " + once("hello"))
		p.until(`document.querySelector("#log .event-name").textContent === "price"`)
		p.until(`document.querySelector("#log .event code").textContent === '{"eur": 4.2, "up": true}'`)
	}
	bo.say("Nice, the price is here")
	ann.until(once("Nice, the price is here"))
	pictures(ann)

	if err := process.Stop(); err != nil {
		t.Errorf("the server ended with %v\n%s", err, process.Output())
	}
	for _, p := range []*tab{ann, bo} {
		p.until(`document.querySelector("#state").textContent === "reconnecting"`)
	}
	ann.say("written while the server was away")
	ann.until(`document.querySelectorAll(".pending").length === 1`)
	ann.shot("reconnecting")

	s.start(t)
	for _, p := range []*tab{ann, bo} {
		p.until(connected)
		p.until(people("Ann", "Bo"))
	}
	ann.until(`document.querySelectorAll(".pending, .failed").length === 0`)
	// The server was new, but Bo may have come back after Ann had written: then history brings it.
	bo.until(once("written while the server was away"))
	bo.say("welcome back")
	push(t, python, s.pull, "lobby", "the feed is back too")
	for _, p := range []*tab{ann, bo} {
		for _, text := range []string{"Hello from Ann", "Nice, the price is here", "written while the server was away", "welcome back", "the feed is back too"} {
			p.until(once(text))
		}
		p.until(`document.querySelectorAll("#log .row").length === 7`)
	}
	ann.shot("back")
}

// pictures takes the four views that somebody should look at.
func pictures(p *tab) {
	p.t.Helper()
	for _, v := range []struct {
		name          string
		width, height int64
	}{{"desktop", 1280, 800}, {"phone", 375, 812}} {
		p.size(v.width, v.height)
		for _, dark := range []bool{false, true} {
			p.dark(dark)
			p.until(fmt.Sprintf("innerWidth === %d && document.documentElement.scrollWidth === innerWidth", v.width))
			scheme := "light"
			if dark {
				scheme = "dark"
			}
			p.shot("chat-" + v.name + "-" + scheme)
		}
	}
	p.size(1280, 800)
	p.dark(false)
}
