package coop_test

import (
	"testing"
	"time"

	"greenroom/coop"
)

// #5, #7: what a task says before and after each kind of end.
func TestTaskOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		fn      func(*coop.Greenlet) (int, error)
		act     func(*coop.Task[int])
		v       int
		err     error
		success bool
	}{
		"value":       {fn: func(*coop.Greenlet) (int, error) { return 7, nil }, v: 7, success: true},
		"failure":     {fn: func(*coop.Greenlet) (int, error) { return 0, errBoom }, err: errBoom},
		"both":        {fn: func(*coop.Greenlet) (int, error) { return 3, errBoom }, v: 3, err: errBoom},
		"panic":       {fn: func(*coop.Greenlet) (int, error) { panic(errBoom) }, err: errBoom},
		"killed":      {fn: sleepy, act: func(c *coop.Task[int]) { c.Kill() }, err: coop.ErrNoValue, success: true},
		"killed with": {fn: sleepy, act: func(c *coop.Task[int]) { c.KillWith(errBoom) }, err: errBoom},
	} {
		t.Run(name, func(t *testing.T) {
			runWith(t, coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: quiet}, func(g *coop.Greenlet) error {
				for _, begun := range []bool{false, true} {
					if begun && c.act == nil {
						continue
					}
					task := coop.SpawnTask(g, c.fn)
					if begun {
						g.Yield()
					}
					if _, err := task.TryGet(); err != coop.ErrNotReady || task.Ended() || task.Successful() {
						t.Errorf("before: %v, ended %v, successful %v", err, task.Ended(), task.Successful())
					}
					if c.act != nil {
						c.act(task)
					}
					for range 2 { // waiting, and at once
						v, err := task.Get(g)
						wantErr(t, err, c.err)
						if v != c.v {
							t.Errorf("got %d", v)
						}
					}
					v, err := task.TryGet()
					wantErr(t, err, c.err)
					if v != c.v || !task.Ended() || task.Successful() != c.success {
						t.Errorf("after: %d, ended %v, successful %v", v, task.Ended(), task.Successful())
					}
				}
				return nil
			})
		})
	}
}

func sleepy(g *coop.Greenlet) (int, error) { return 0, g.Sleep(time.Hour) }

// #6, #7: a timeout ends the waiting, not the task.
func TestTaskOutlivesATimeoutOfItsGetter(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		task := coop.SpawnTask(g, func(g *coop.Greenlet) (string, error) { return "done", g.Sleep(time.Minute) })
		err := g.WithTimeout(time.Second, func() error { _, err := task.Get(g); return err })
		wantErr(t, err, coop.ErrTimeout)
		err = g.WithTimeout(time.Second, func() error { return task.Join(g) })
		wantErr(t, err, coop.ErrTimeout)
		if task.Ended() {
			t.Error("it ended")
		}
		if v, err := task.Get(g); v != "done" || err != nil {
			t.Errorf("got %q, %v", v, err)
		}
		return nil
	})
}

// #8
func TestTaskCannotGetItself(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var self *coop.Task[int]
		self = coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) {
			_, err := self.Get(g)
			wantErr(t, err, coop.ErrSelfJoin)
			return 1, nil
		})
		_, err := self.Get(g)
		return err
	})
}

func TestTaskOfAnotherLoop(t *testing.T) {
	here, there := started(t, coop.LoopOptions{}), started(t, coop.LoopOptions{})
	made := make(chan *coop.Task[[]int], 1)
	there.Post(func() {
		made <- coop.SpawnTask(there, func(g *coop.Greenlet) ([]int, error) {
			return []int{1, 2, 3}, g.Sleep(time.Millisecond)
		})
	})
	task := <-made
	on(t, here, func(g *coop.Greenlet) error {
		v, err := task.Get(g)
		if len(v) != 3 {
			t.Errorf("got %v", v)
		}
		return err
	})
}

// #27, #51: a task hands its outcome over to a future, which takes care of a failure.
func TestTaskIntoFuture(t *testing.T) {
	reported := 0
	o := coop.LoopOptions{Clock: coop.NewFakeClock(), OnFailure: func(*coop.Greenlet, error) { reported++ }}
	runWith(t, o, func(g *coop.Greenlet) error {
		var good, bad, killed, late coop.Future[int]
		task := coop.SpawnTask(g, func(g *coop.Greenlet) (int, error) { return 5, g.Sleep(time.Second) })
		task.Into(&good)
		coop.SpawnTask(g, func(*coop.Greenlet) (int, error) { return 0, errBoom }).Into(&bad)
		victim := coop.SpawnTask(g, sleepy)
		victim.Into(&killed)
		victim.Kill()
		if v, err := good.Get(g); v != 5 || err != nil {
			t.Errorf("good: %d, %v", v, err)
		}
		_, err := bad.Get(g)
		wantErr(t, err, errBoom)
		_, err = killed.Get(g)
		wantErr(t, err, coop.ErrNoValue)
		task.Into(&late)
		if late.Ready() {
			t.Error("handed over within the call")
		}
		if v, err := late.Get(g); v != 5 || err != nil {
			t.Errorf("late: %d, %v", v, err)
		}
		return nil
	})
	if reported != 0 {
		t.Errorf("%d failures reported", reported)
	}
}
