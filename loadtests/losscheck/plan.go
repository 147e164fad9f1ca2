package losscheck

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Fault is something that goes wrong.
type Fault string

// The faults that a plan knows.
const (
	Kill    Fault = "kill"    // SIGKILL of a node, which is started again
	Term    Fault = "term"    // SIGTERM of a node, which is started again
	Roll    Fault = "roll"    // Term of all nodes, one after the other
	Cut     Fault = "cut"     // the connections of clients of a node break
	Freeze  Fault = "freeze"  // SIGSTOP of Redis, then SIGCONT
	Restart Fault = "restart" // SIGKILL of Redis, which is started again with what it had
	Split   Fault = "split"   // a node is cut off from Redis
	Hang    Fault = "hang"    // SIGSTOP of a node, then SIGCONT

	// Empty is SIGKILL of Redis, which is started again without what it had. Who comes back by then may have to begin anew.
	Empty Fault = "empty"

	// These cost sessions also with the streams adapter: who has got messages that only a node without Redis knows, or
	// comes back when none can look, begins anew.

	Wander Fault = "wander" // Split, and the clients of the node go to others meanwhile
	Crash  Fault = "crash"  // Split, and Kill meanwhile
	Dark   Fault = "dark"   // Freeze, and Kill meanwhile
)

// costs reports whether the fault may cost a client its session.
func (f Fault) costs() bool { return f == Wander || f == Crash || f == Dark || f == Empty }

// away reports whether nodes are without Redis meanwhile, and judge for themselves whether an id is new.
func (f Fault) away() bool {
	switch f {
	case Freeze, Restart, Split, Empty, Wander, Crash, Dark:
		return true
	}
	return false
}

// kills reports whether a node may take along what it has answered last.
func (f Fault) kills() bool { return f == Kill || f == Crash || f == Dark }

// Step is one fault of a plan.
type Step struct {
	Fault
	Node int           // for those that are about one
	For  time.Duration // until it is mended
}

func (s Step) String() string {
	switch s.Fault {
	case Kill, Term, Split, Cut, Hang, Wander, Crash, Dark:
		return fmt.Sprintf("%s %d %v", s.Fault, s.Node, s.For)
	}
	return fmt.Sprintf("%s %v", s.Fault, s.For)
}

// Plan is a list of faults that follows from a seed: each of faults once in every round, in any order.
func Plan(seed uint64, rounds, nodes int, longest time.Duration, faults ...Fault) []Step {
	r := rand.New(rand.NewPCG(seed, 8))
	var list []Step
	for range rounds {
		for _, i := range r.Perm(len(faults)) {
			s := Step{Fault: faults[i], Node: r.IntN(nodes)}
			if s.Fault == Kill || s.Fault == Term || s.Fault == Roll || s.Fault == Cut {
				s.For = time.Duration(r.IntN(500)) * time.Millisecond
			} else {
				s.For = longest/4 + time.Duration(r.Int64N(int64(longest)*3/4))
			}
			s.For = s.For.Round(10 * time.Millisecond)
			list = append(list, s)
		}
	}
	return list
}

// Describe is a plan in one line.
func Describe(plan []Step) string {
	var b strings.Builder
	for i, s := range plan {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(s.String())
	}
	return b.String()
}
