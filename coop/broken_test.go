package coop

import (
	"strings"
	"testing"
	"time"
)

// A ready queue that is not what it should be ends the loop at the first look, with a reason, and is not
// reported, and stumbled over, again and again.
func TestBrokenReadyQueueIsSaidOnce(t *testing.T) {
	parkedOne := &Greenlet{id: 1, state: parked}
	for name, spoil := range map[string]func(l *Loop){
		"counted but without memory": func(l *Loop) { l.ready.n = 3 },
		"counted but empty":          func(l *Loop) { l.ready.grow(); l.ready.n = 3 },
		"quota too large":            func(l *Loop) { l.ready.grow(); l.quota = 3 },
		"a parked greenlet":          func(l *Loop) { l.ready.push(parkedOne) },
	} {
		t.Run(name, func(t *testing.T) {
			watchdog := time.AfterFunc(30*time.Second, func() { panic("hangs") })
			defer watchdog.Stop()
			reports := 0
			l, err := NewLoop(LoopOptions{Name: "spoilt", OnPanic: func(*Loop, *PanicError) { reports++ }})
			if err != nil {
				t.Fatal(err)
			}
			defer l.poller.Close()
			spoil(l)
			func() {
				defer func() {
					said, _ := recover().(string)
					if !strings.Contains(said, "ready queue of loop \"spoilt\"") {
						t.Errorf("said %q", said)
					}
				}()
				l.drive()
			}()
			if onAnyLoop() {
				t.Error("this goroutine is still taken for the loop's")
			}
			if reports != 0 {
				t.Errorf("reported %d times as a callback's panic", reports)
			}
		})
	}
}
