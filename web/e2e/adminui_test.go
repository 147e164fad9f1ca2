package e2e

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"

	"greenroom/internal/testenv"
)

// adminPages serves the pages of the official Admin UI, as its package has them. They would load fonts from elsewhere.
func adminPages(t *testing.T) (origin string) {
	t.Helper()
	dir, err := filepath.Abs("../../transports/adminui/testdata/official")
	if err != nil {
		t.Fatal(err)
	}
	testenv.NPM(t, dir)
	files := http.FileServer(http.Dir(filepath.Join(dir, "node_modules/@socket.io/admin-ui/ui/dist")))
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy",
			"default-src 'self' data: 'unsafe-inline' 'unsafe-eval'; connect-src http://127.0.0.1:* ws://127.0.0.1:*")
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(web.Close)
	return web.URL
}

// adminHash is that of "sesame", at the least cost.
const adminHash = "$2a$04$N07Jia.fr1NjLXBa5ktKau4PLZ69cSXO6bPocaYPyPzoQAlg0Ia0e"

// says is true when the page shows a text.
func says(text string) string {
	return "document.querySelector('.v-main').innerText.includes(" + quote(text) + ")"
}

func quote(text string) string { return "`" + text + "`" }

// page goes to another page of the Admin UI.
func (p *tab) page(path string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void]("location.hash = " + quote("#"+path)))
}

// write puts a text into a field in place of what is there. The field of rooms has no size, so that no keys reach it.
func (p *tab) write(field, text string) {
	p.t.Helper()
	p.do(chromedp.Evaluate[chromedp.Void](`{
		const field = document.querySelector("` + field + `");
		field.focus();
		field.value = ` + quote(text) + `;
		field.dispatchEvent(new Event("input"));
	}`))
}

// still takes a picture when nothing moves any more.
func (p *tab) still(name string) {
	p.t.Helper()
	p.until(`document.getAnimations().every(a => a.playState !== "running" || a.effect.getTiming().iterations === Infinity)`)
	p.shot(name)
}

// TestAdminUI has the official Admin UI log in to the real server, look at a user of the chat demo, bring her into a room,
// and throw her out.
func TestAdminUI(t *testing.T) {
	origin := adminPages(t)
	bin := testenv.Build(t, "greenroom/cmd/greenroom")
	addr := testenv.FreeAddr(t)
	testenv.Start(t, testenv.Command{
		Path: bin,
		Args: []string{
			"serve", "--listen", addr, "--zmq-pull", "off", "--zmq-pub", "off", "--zmq-sub", "off", "--zmq-control", "off", "--zmq-workers", "off",
			"--admin-ui", "--admin-user", "admin", "--cors-origin", origin,
		},
		Env:   []string{"GREENROOM_ADMIN_HASH=" + adminHash},
		Ready: testenv.ReadyHTTP("http://" + addr + "/healthz"),
	})
	b := browser(t)
	ann := open(t, b, "Ann", "http://"+addr+"/?room=lobby&name=Ann")
	ann.until(connected)

	ui := open(t, b, "admin", origin+"/")
	ui.until(`document.querySelectorAll("form input").length >= 3`)
	ui.still("admin-login")
	field := func(n string) string { return ".v-dialog form > .v-input:nth-child(" + n + ") input" }
	ui.do(
		chromedp.SendKeys(field("1"), "http://"+addr), chromedp.SendKeys(field("2"), "admin"), chromedp.SendKeys(field("3"), "wrong"),
		chromedp.Click(".v-dialog form button[type=submit]"),
	)
	ui.until(`document.querySelector(".v-dialog form .red--text")?.innerText.includes("Invalid credentials")`)
	ui.still("admin-refused")
	ui.write(field("3"), "sesame")
	ui.do(chromedp.Click(".v-dialog form button[type=submit]"))
	ui.until(`!document.querySelector(".v-dialog--active")`)

	// The dashboard, once the server's first report is in.
	ui.until(says("/admin") + "&&" + says("Namespaces"))
	ui.still("admin-dashboard")

	ui.page("/sockets/")
	ui.until(`document.querySelectorAll(".v-main tbody tr button").length === 1 && ` + says("127.0.0.1"))
	ui.until(says("WebSocket"))
	ui.still("admin-sockets")

	ui.page("/rooms/")
	ui.until(says("lobby"))
	ui.still("admin-rooms")

	// Ann's session: her first request, her rooms; one more room.
	ui.page("/sockets/")
	ui.until(`document.querySelectorAll(".v-main tbody tr button").length === 1`)
	ui.do(chromedp.Click(".v-main tbody tr td"))
	ui.until(says("user-agent") + "&&" + says("lobby"))
	ui.write(".v-main .select-room input", "backstage")
	ui.do(chromedp.Click(".v-main form button[type=submit]"))
	ui.until(`[...document.querySelectorAll(".v-main tbody tr")].some(r => r.innerText.includes("backstage"))`)
	ui.still("admin-socket")
	ui.page("/rooms/")
	ui.until(says("backstage"))

	// What Ann says goes by.
	ui.page("/events/")
	ann.say("is anybody there?")
	ui.until(says("publish"))
	ui.still("admin-events")

	// She leaves the room again, and is thrown out.
	const leave = `[...document.querySelectorAll(".v-main tbody tr")].find(r => r.innerText.includes("backstage"))?.querySelector("button")`
	ui.page("/rooms/")
	ui.until(leave)
	ui.do(chromedp.Evaluate[chromedp.Void](leave + ".click()"))
	ui.until("!" + leave)
	ui.page("/sockets/")
	ui.until(`document.querySelectorAll(".v-main tbody tr button").length === 1`)
	ui.do(chromedp.Click(".v-main tbody tr button"))
	ann.until(`!(` + connected + `)`)
	ui.until(says("DISCONNECTED")) // the click has opened her page as well
	ui.still("admin-disconnected")
	ui.page("/sockets/")
	ui.until(says("No data available"))

	// The page is loaded anew, and needs no password.
	ui.do(chromedp.Reload())
	ui.until(`document.body.innerText.toLowerCase().includes("connected") && !document.querySelector(".v-dialog--active")`)
}
