package coop

// Run runs fn in a greenlet on a new loop, on the calling goroutine, until fn returns; then it ends
// everything that fn started and left running, and returns fn's error. It is main for programs made of
// greenlets, and a frame for tests: t.FailNow within fn works.
func Run(fn func(*Greenlet) error) error { return RunWith(LoopOptions{}, fn) }

// RunWith is [Run] with options.
func RunWith(o LoopOptions, fn func(*Greenlet) error) error { return runOn(o, nil, fn) }

// runOn is RunWith on a loop that is prepared before anything runs on it.
func runOn(o LoopOptions, prepare func(*Loop), fn func(*Greenlet) error) error {
	l, err := NewLoop(o)
	if err != nil {
		return err
	}
	if prepare != nil {
		prepare(l)
	}
	root := l.spawnFrom(fn)
	root.joined.Store(true)
	l.until = root
	if err := l.drive(); err != nil && root.result() == nil {
		return err
	}
	return root.result()
}

// drive ticks on the calling goroutine until l.until has ended or somebody closes the loop, and closes it.
// It does so also when a greenlet takes the goroutine away with runtime.Goexit.
func (l *Loop) drive() (err error) {
	l.control.started = true
	l.self.enter(l)
	defer func() {
		l.self.leave(l)
		if l.broken {
			return // the caller gets the panic; nothing of this loop can be saved
		}
		l.abandon(ErrGoexit)
		l.until = nil
		if l.over {
			close(l.done)
		} else {
			l.halt = false
			l.control.Lock()
			l.control.started = false // Close finishes on a goroutine of its own
			l.control.Unlock()
		}
		err = l.Close()
	}()
	for !l.halt {
		l.turn(stackMark{l.serial, loopMark})
	}
	return nil
}
