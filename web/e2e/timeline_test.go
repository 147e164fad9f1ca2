package e2e

import (
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/chromedp/chromedp"
)

// The timelines of both founding programs, as their reader sees them. The pictures stand in the README.
func TestTimeline(t *testing.T) {
	dir := t.TempDir()
	example := exec.Command("go", "run", "./coop/examples/timeline", dir)
	example.Dir = "../.."
	if out, err := example.CombinedOutput(); err != nil {
		t.Fatalf("the example: %v\n%s", err, out)
	}
	b := browser(t)
	for _, name := range []string{"basic", "periods"} {
		p := open(t, b, name, "file://"+filepath.Join(dir, name+".html"))
		p.size(1100, 340)
		p.until(`document.getElementById("title").textContent === "The founding program: ` + name + `"`)
		p.until(`document.getElementById("facts").textContent.startsWith("5 greenlets")`)
		p.until(`document.getElementById("legend").textContent.includes("parked: sleep")`)
		p.shot("timeline-" + name)

		// The order of turns is the same each time: main, the four, foo again, …
		p.do(chromedp.Click("#byOrder"))
		p.until(`byOrder && document.getElementById("byOrder").getAttribute("aria-pressed") === "true"`)
		p.until(`loop.items.filter((it) => it.kind === "run").slice(0, 6).map((it) => loop.greenlets[it.row].name).join() === "main,foo,bar,coo,doo,foo"`)
		p.shot("timeline-" + name + "-order")

		// The pointer over doo's first run says what it did and who began it.
		p.do(chromedp.Evaluate[chromedp.Void](`{
			const run = hits.find((h) => h.it.kind === "run" && loop.greenlets[h.it.row].name === "doo"), box = canvas.getBoundingClientRect();
			canvas.dispatchEvent(new PointerEvent("pointermove", { clientX: box.left + (run.x1 + run.x2) / 2, clientY: box.top + (run.y1 + run.y2) / 2 }));
		}`))
		p.until(`/^doo\nran .* turn 5\nthen parked: sleep\nspawned by main$/.test(document.getElementById("tip").textContent)`)

		// The wheel zooms around the pointer, and 0 shows everything again.
		p.do(chromedp.Evaluate[chromedp.Void](`window.before = view.span; canvas.dispatchEvent(new WheelEvent("wheel", { deltaY: -400, clientX: 600, clientY: 200, cancelable: true }))`))
		p.until(`view.span < window.before / 1.5`)
		p.do(chromedp.Evaluate[chromedp.Void](`document.dispatchEvent(new KeyboardEvent("keydown", { key: "0" }))`))
		p.until(`Math.abs(view.span - window.before) < 1e-6`)
		p.dark(true)
		p.shot("timeline-" + name + "-dark")
	}
}
