package e2e

import (
	"context"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"

	"greenroom/internal/testenv"
)

// demo is what make demo-cluster runs.
type demo struct {
	*testenv.Process
	url string
	pid map[string]int // of the nodes
}

func startDemo(t *testing.T) *demo {
	t.Helper()
	testenv.Program(t, "nginx", "nginx")
	testenv.Program(t, "redis-server", "redis-server")
	env := []string{"GREENROOM_BIN=" + testenv.Build(t, "greenroom/cmd/greenroom")}
	for _, name := range []string{"FRONT", "N1", "N2", "N3", "REDIS"} {
		env = append(env, fmt.Sprintf("%s=%d", name, testenv.FreePort(t)))
	}
	d := &demo{pid: make(map[string]int)}
	d.Process = testenv.Start(t, testenv.Command{
		Path: "../../transports/redis/examples/cluster/run", Env: env, Ready: testenv.ReadyOutput("the chat, on any of them: "),
	})
	for _, line := range strings.Split(d.Output(), "\n") {
		if url, ok := strings.CutPrefix(line, "the chat, on any of them: "); ok {
			d.url = url
		} else if m := regexp.MustCompile(`^(n\d): .* kill -9 (\d+)$`).FindStringSubmatch(line); m != nil {
			d.pid[m[1]], _ = strconv.Atoi(m[2])
		}
	}
	if len(d.pid) != 3 {
		t.Fatalf("no three nodes in:\n%s", d.Output())
	}
	return d
}

// nodes is true when the list shows exactly these people, each on the node that stands behind it: "Ann n1".
func nodes(people ...string) string {
	return fmt.Sprintf(`[...document.querySelectorAll("#members li")].map(e => e.querySelector(".who").textContent + " " + e.querySelector(".node")?.textContent).sort().join() === %q`,
		strings.Join(people, ","))
}

// node is where a page's own session is.
func (p *tab) node() string {
	p.t.Helper()
	return get(p, chromedp.Evaluate[string](`[...document.querySelectorAll("#members li")].find(e => e.querySelector(".quiet"))?.querySelector(".node")?.textContent ?? ""`))
}

// offline keeps a page from connecting, or lets it again.
func (p *tab) offline(on bool) {
	p.t.Helper()
	var rules []*network.Conditions
	if on {
		rules = []*network.Conditions{{Offline: true, DownloadThroughput: -1, UploadThroughput: -1}}
	}
	p.do(chromedp.Func(func(ctx context.Context, t *chromedp.Target) error {
		_, err := cdp.Call(ctx, t, network.EmulateNetworkConditionsByRule, network.EmulateNetworkConditionsByRuleParams{MatchedNetworkConditions: rules})
		return err
	}), command(network.OverrideNetworkState, network.OverrideNetworkStateParams{Offline: on, DownloadThroughput: -1, UploadThroughput: -1}))
}

// TestDemoCluster: people on three nodes are in one room, whose list shows where each of them is. When a node is killed,
// its client is back in the room on another one, with all that was said meanwhile, and nobody is there twice.
func TestDemoCluster(t *testing.T) {
	d := startDemo(t)
	b := browser(t)
	tabs, names := make([]*tab, 3), []string{"Ann", "Bo", "Cy"}
	for i, name := range names {
		tabs[i] = open(t, b, name, d.url+"?room=lobby&name="+name)
		tabs[i].until(connected)
	}
	everybody := func() (people []string) {
		for i, p := range tabs {
			p.until(connected)
			people = append(people, names[i]+" "+p.node())
		}
		return people
	}
	for _, p := range tabs {
		p.until(people(names...))
	}
	before := everybody()
	if tabs[0].node() == tabs[1].node() || tabs[1].node() == tabs[2].node() || tabs[0].node() == tabs[2].node() {
		t.Fatalf("three clients are not on three nodes: %v", before)
	}
	for i, p := range tabs {
		p.until(nodes(before...))
		p.say("hello from " + names[i])
	}
	for _, p := range tabs {
		for _, name := range names {
			p.until(once("hello from " + name))
		}
	}
	views(tabs[0], "cluster")

	ann, bo, cy := tabs[0], tabs[1], tabs[2]
	if err := syscall.Kill(d.pid[cy.node()], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	cy.offline(true)
	cy.until(`document.querySelector("#state").textContent === "reconnecting"`)
	for i := range 3 {
		ann.say(fmt.Sprintf("meanwhile %d of Ann", i))
		bo.say(fmt.Sprintf("meanwhile %d of Bo", i))
	}
	cy.offline(false)
	cy.until(connected)
	cy.say("back again")
	for _, p := range tabs {
		for i := range 3 {
			p.until(once(fmt.Sprintf("meanwhile %d of Ann", i)))
			p.until(once(fmt.Sprintf("meanwhile %d of Bo", i)))
		}
		p.until(once("back again"))
		p.until(`document.querySelectorAll("#log .row").length === 10`)
		p.until(people(names...)) // and no ghost of Cy's
	}
	after := everybody()
	if after[0] != before[0] || after[1] != before[1] || after[2] == before[2] {
		t.Errorf("%v, and after the end of a node %v", before, after)
	}
	for _, p := range tabs {
		p.until(nodes(after...))
		p.until(`document.querySelectorAll("#log .row").length === 10`)
	}
	cy.shot("cluster-after")
}

// views takes pictures that somebody should look at.
func views(p *tab, name string) {
	p.t.Helper()
	p.shot(name + "-light")
	p.dark(true)
	p.until("matchMedia('(prefers-color-scheme: dark)').matches")
	p.shot(name + "-dark")
	p.size(390, 844)
	p.until("innerWidth === 390 && document.documentElement.scrollWidth === innerWidth")
	p.do(chromedp.Click("#peoplebutton"))
	p.until(`document.querySelector("#people").dataset.open !== undefined`)
	p.shot(name + "-phone")
	p.do(chromedp.Click("#peoplebutton"))
	p.size(1280, 800)
	p.dark(false)
}
