package coop

// ParkReason says what a greenlet waits for, in traces and dumps.
type ParkReason uint8

const (
	ParkedWait   ParkReason = iota // something that has no reason of its own
	ParkedYield                    // its turn
	ParkedSleep                    // a time
	ParkedEvent                    // an event
	ParkedGet                      // a value from a queue
	ParkedPut                      // room in a queue
	ParkedJoin                     // another greenlet's end
	ParkedAwait                    // a function on a goroutine
	ParkedLock                     // a semaphore or lock
	ParkedResult                   // a result that others compute
	ParkedPool                     // room in a pool
	ParkedRead                     // bytes from a connection
	ParkedWrite                    // room in a connection
	ParkedAccept                   // a connection
	ParkedIdle                     // nothing else to be ready
	ParkedSignal                   // a signal of the system
	ParkedRest                     // a value from a queue, without a stack
)

var parkReasons = [...]string{
	"wait", "yield", "sleep", "event", "queue get", "queue put", "join", "await", "lock", "result", "pool", "read", "write",
	"accept", "idle", "signal", "rest",
}

// String is a word or two, such as "queue get".
func (r ParkReason) String() string {
	if int(r) < len(parkReasons) {
		return parkReasons[r]
	}
	return "?"
}

// activity is what a loop does at the moment: who makes a greenlet ready when no greenlet runs.
type activity uint8

const (
	doingNothing activity = iota // before the first tick
	doingJobs
	doingGreenlets
	doingTimers
	doingFlush
	doingIO
)

var activities = [...]string{"the start", "a posted job", "the scheduler", "a timer", "a flusher", "I/O"}

func (a activity) String() string { return activities[a] }
