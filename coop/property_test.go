package coop_test

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"greenroom/coop"
)

// A step is one thing that a greenlet of a random program does.
type step struct {
	do     verb
	n      int             // which greenlet, event, queue or script; what a put puts
	d      time.Duration   // of a sleep or a timer
	scopes []time.Duration // timeouts around it, the outermost first
}

type verb string

const (
	doYield    verb = "yield"
	doSleep    verb = "sleep"
	doSpawn    verb = "spawn"
	doKill     verb = "kill"
	doJoin     verb = "join"
	doSet      verb = "set"
	doClear    verb = "clear"
	doWait     verb = "wait"
	doPut      verb = "put"
	doTryPut   verb = "tryput"
	doGet      verb = "get"
	doTryGet   verb = "tryget"
	doCloseQ   verb = "close"
	doPost     verb = "post"
	doTimer    verb = "timer"
	doFlush    verb = "flush"
	spawnLimit      = 30 // greenlets of a program
	events          = 2
)

func (s step) String() string {
	return fmt.Sprint(s.do, " ", s.n, " ", int(s.d), " ", len(s.scopes))
}

// A program is scripts that greenlets run; the first starters of them are spawned at the beginning.
type program struct {
	scripts  [][]step
	starters int
	limits   []int // of the queues
}

func drawProgram(t *rapid.T) program {
	verbs := []verb{
		doYield, doSleep, doSleep, doSpawn, doKill, doJoin, doSet, doClear, doWait, doWait, doPut, doPut,
		doTryPut, doGet, doGet, doTryGet, doCloseQ, doPost, doTimer, doFlush,
	}
	one := rapid.Custom(func(t *rapid.T) step {
		return step{
			do:     rapid.SampledFrom(verbs).Draw(t, "do"),
			n:      rapid.IntRange(0, 9).Draw(t, "n"),
			d:      time.Duration(rapid.IntRange(0, 4).Draw(t, "d")),
			scopes: rapid.SliceOfN(rapid.Map(rapid.IntRange(-1, 4), func(n int) time.Duration { return time.Duration(n) }), 0, 2).Draw(t, "scopes"),
		}
	})
	p := program{
		scripts: rapid.SliceOfN(rapid.SliceOfN(one, 0, 8), 1, 6).Draw(t, "scripts"),
		limits:  rapid.SliceOfN(rapid.IntRange(-1, 2), 2, 2).Draw(t, "limits"),
	}
	p.starters = rapid.IntRange(1, len(p.scripts)).Draw(t, "starters")
	return p
}

// fails says whether a greenlet's function returns an error.
func (p program) fails(script int) bool { return len(p.scripts[script])%3 == 2 }

// runProgram runs a program on a loop and returns what happened.
func runProgram(p program) (log []string) {
	r := &runner{program: p}
	for _, limit := range p.limits {
		r.queues = append(r.queues, coop.NewQueue[int](limit))
	}
	err := coop.RunWith(coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
		r.loop = g.Loop()
		for i := range p.starters {
			r.spawn(i)
		}
		err := g.Sleep(1 << 40) // until nobody else does anything
		log, r.log = r.log, nil
		return err
	})
	if err != nil {
		log = append(log, err.Error())
	}
	return log
}

type runner struct {
	program
	loop   *coop.Loop
	all    []*coop.Greenlet
	events [events]coop.Event
	queues []*coop.Queue[int]
	log    []string
}

func (r *runner) note(format string, args ...any) {
	r.log = append(r.log, fmt.Sprintf("%d ", r.loop.Now())+fmt.Sprintf(format, args...))
}

func (r *runner) spawn(script int) {
	id := len(r.all)
	r.all = append(r.all, r.loop.Spawn(func(g *coop.Greenlet) error {
		for pc, s := range r.scripts[script] {
			var what string
			if err := within(g, s.scopes, func() (err error) { what, err = r.do(g, id, s); return err }); err != nil {
				what = errName(err)
			}
			r.note("g%d.%d %s: %s", id, pc, s.do, what)
		}
		r.note("g%d over", id)
		if r.fails(script) {
			return errBoom
		}
		return nil
	}))
}

// within runs fn in scopes.
func within(g *coop.Greenlet, scopes []time.Duration, fn func() error) error {
	if len(scopes) == 0 {
		return fn()
	}
	return g.WithTimeout(scopes[0], func() error { return within(g, scopes[1:], fn) })
}

func errName(err error) string {
	var te *coop.TimeoutError
	switch {
	case errors.As(err, &te):
		return "timeout " + strconv.Itoa(int(te.D))
	case errors.Is(err, coop.ErrKilled):
		return "killed"
	default:
		return err.Error()
	}
}

func (r *runner) do(g *coop.Greenlet, id int, s step) (string, error) {
	ev, q := &r.events[s.n%events], r.queues[s.n%len(r.queues)]
	other := r.all[s.n%len(r.all)]
	switch s.do {
	case doYield:
		return "ok", g.Yield()
	case doSleep:
		return "ok", g.Sleep(s.d)
	case doSpawn:
		if len(r.all) == spawnLimit {
			return "no", nil
		}
		r.spawn(s.n % len(r.scripts))
	case doKill:
		other.Kill()
	case doJoin:
		return "ok", other.Join(g)
	case doSet:
		ev.Set()
	case doClear:
		ev.Clear()
	case doWait:
		return "ok", ev.Wait(g)
	case doPut:
		return "ok", q.Put(g, s.n)
	case doTryPut:
		return strconv.FormatBool(q.TryPut(s.n)), nil
	case doGet:
		v, err := q.Get(g)
		return strconv.Itoa(v), err
	case doTryGet:
		v, ok := q.TryGet()
		return fmt.Sprint(v, ok), nil
	case doCloseQ:
		q.Close()
	case doPost:
		r.loop.Post(func() { r.note("posted by g%d", id) })
	case doTimer:
		r.loop.AfterFunc(s.d, func() { r.note("timer of g%d", id) })
	case doFlush:
		r.loop.QueueFlush(flushFunc(func() { r.note("flusher of g%d", id) }))
	}
	return "ok", nil
}

// TestRandomPrograms compares the order in which a loop does things with the model's, for programs of
// greenlets that spawn, yield, sleep, wait, hand over, kill and join at random.
//
// A program takes a tenth of a millisecond, and rapid's usual hundred meet few of the rarer ways: so
// there are several hundreds.
func TestRandomPrograms(t *testing.T) {
	for range 30 {
		rapid.Check(t, compareWithModel)
	}
}

func compareWithModel(t *rapid.T) {
	p := drawProgram(t)
	got, want := runProgram(p), modelOf(p)
	if slices.Equal(got, want) {
		return
	}
	at := 0
	for at < min(len(got), len(want)) && got[at] == want[at] {
		at++
	}
	t.Fatalf("after\n  %s\nthe loop does\n  %s\nthe model\n  %s",
		strings.Join(got[:at], "\n  "),
		strings.Join(got[at:min(at+5, len(got))], "\n  "),
		strings.Join(want[at:min(at+5, len(want))], "\n  "))
}
