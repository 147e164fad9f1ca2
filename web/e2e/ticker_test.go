package e2e

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"greenroom/internal/testenv"
)

// TestTicker: the publisher of make demo-ticker sends what somebody looks at and nothing else, who comes later sees a
// price at once, and who looks away ends it.
func TestTicker(t *testing.T) {
	s, feed := newServer(t), "tcp://"+testenv.FreeAddr(t)
	publisher := testenv.Start(t, testenv.Command{
		Path: testenv.Python(t, "zmq"), Args: []string{"../../transports/zeromq/examples/ticker/publisher.py", feed}, Ready: testenv.ReadyOutput("nobody looks yet"),
	})
	testenv.Start(t, testenv.Command{
		Path: s.bin,
		Args: []string{"serve", "--listen", s.http, "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off",
			"--zmq-connect", feed, "--zmq-subscribe", "demand", "--zmq-linger", "100ms", "--zmq-sub-retain"},
		Ready: testenv.ReadyHTTP("http://" + s.http + "/healthz"),
	})
	said := func(text string) {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), within)
		defer cancel()
		if err := publisher.WaitOutput(ctx, text); err != nil {
			t.Fatal(err, publisher.Output())
		}
	}
	card := func(symbol, rest string) string {
		return fmt.Sprintf("document.querySelector('#card-%s %s')", symbol, rest)
	}
	hasPrice := func(symbol string) string { return "/^[0-9]/.test(" + card(symbol, ".price") + ".textContent)" }
	b := browser(t)
	ann := open(t, b, "ann", "http://"+s.http+"/ticker/")
	for _, symbol := range []string{"OAK", "TIDE", "LARK"} {
		said("somebody looks at " + symbol)
		ann.until(hasPrice(symbol))
		ann.until(card(symbol, "canvas") + " !== null")
	}
	if out := publisher.Output(); strings.Contains(out, "GALE") {
		t.Errorf("the publisher was asked for what nobody looks at:\n%s", out)
	}
	ann.until(`document.querySelector("#count").textContent === "3 of 8 watched"`)
	ann.do(chromedp.Click("#all"))
	said("somebody looks at GALE")
	ann.until(hasPrice("GALE"))
	ann.until(card("OAK", ".price") + ".textContent !== '–' && !document.querySelector('.card[data-watched=false]')")
	// A line that is worth a picture.
	ann.do(chromedp.Evaluate[chromedp.Void](`window.seen = new Set(); new MutationObserver(() => seen.add(document.querySelector("#card-OAK .price").textContent)).observe(document.querySelector("#card-OAK .price"), {childList: true})`))
	ann.until("seen.size >= 12")

	late := open(t, b, "late", "http://"+s.http+"/ticker/")
	late.until(hasPrice("OAK"))
	late.until(`document.querySelector("#state").dataset.state === "connected"`)
	if out := publisher.Output(); strings.Count(out, "somebody looks at OAK") != 1 {
		t.Errorf("the publisher was asked twice:\n%s", out)
	}
	late.do(chromedp.Click("#none"))
	late.until(`document.querySelector("#count").textContent.startsWith("Nothing")`)

	ann.shot("ticker-light")
	ann.dark(true)
	ann.until("matchMedia('(prefers-color-scheme: dark)').matches")
	ann.shot("ticker-dark")
	ann.size(390, 844)
	ann.shot("ticker-phone")
	ann.do(chromedp.Click("#card-OAK .watch"))
	ann.until(card("OAK", ".watch") + `.getAttribute("aria-pressed") === "false"`)
	said("nobody looks at OAK any more")
	ann.until(hasPrice("OAK")) // as it was
}
