// Command timeline runs the two founding programs and draws them: for each one it writes a timeline to open in a
// browser and a trace for Perfetto (ui.perfetto.dev).
//
//	go run ./coop/examples/timeline [FOLDER]
package main

import (
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"greenroom/coop"
)

func main() {
	folder := "."
	if len(os.Args) > 1 {
		folder = os.Args[1]
	}
	for _, p := range []struct {
		name          string
		bar, coo, doo int // how long each sleeps, in units
	}{
		{"basic", 3, 2, 1},
		{"periods", 2, 1, 3},
	} {
		if err := draw(folder, p.name, p.bar, p.coo, p.doo); err != nil {
			log.Fatal(err)
		}
	}
}

const unit = 50 * time.Millisecond

// draw runs a program with a trace, and writes what the trace saw.
func draw(folder, name string, bar, coo, doo int) error {
	trace := coop.NewTrace(coop.TraceOptions{})
	err := coop.RunWith(coop.LoopOptions{Name: name, Trace: trace}, func(g *coop.Greenlet) error {
		g.SetName("main")
		return coop.JoinAll(g,
			spawn(g, "foo", 0), spawn(g, "bar", bar), spawn(g, "coo", coo), spawn(g, "doo", doo))
	})
	if err != nil {
		return err
	}
	html, json := filepath.Join(folder, name+".html"), filepath.Join(folder, name+".json")
	if err := write(html, func(f *os.File) error { return trace.WriteHTML(f, "The founding program: "+name) }); err != nil {
		return err
	}
	if err := write(json, func(f *os.File) error { return trace.WriteJSON(f) }); err != nil {
		return err
	}
	fmt.Println("wrote", html, "and", json)
	return nil
}

func spawn(g *coop.Greenlet, name string, units int) *coop.Greenlet {
	child := g.Spawn(func(g *coop.Greenlet) error { return g.Sleep(time.Duration(units) * unit) })
	child.SetName(name)
	return child
}

func write(name string, fill func(*os.File) error) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := fill(f); err != nil {
		return err
	}
	return f.Close()
}
