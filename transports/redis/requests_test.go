package redis

import (
	"math/rand/v2"
	"slices"
	"testing"

	"greenroom/hub"
)

// A question is over with the last of what is to come, in whatever order it comes, and then alone.
func TestQuestionsEndWithTheLastAnswer(t *testing.T) {
	for seed := range uint64(500) {
		rnd := rand.New(rand.NewPCG(seed, 1))
		var qs questions
		replies, last := 0, 0
		q := qs.ask(&hub.NodeRequest{Op: hub.OpAsk, Namespace: "/"}, func(r hub.NodeReply) {
			replies++
			if last > 0 {
				t.Fatalf("seed %d: a reply after the last", seed)
			}
			if r.Last {
				last++
			}
		}, uid6)
		others := rnd.IntN(4)
		steps := []func(){func() { q.expect(others) }}
		for i := range others {
			node := string(rune('a' + i))
			clients := rnd.IntN(4)
			steps = append(steps, func() { q.asked(node, clients) })
			missing := 0
			if clients > 0 {
				missing = rnd.IntN(clients)
			}
			for range clients - missing {
				steps = append(steps, func() { q.client(node, hub.Answer{}) })
			}
			if missing > 0 {
				steps = append(steps, func() { q.missing(node, make([]string, missing)) })
			}
		}
		rnd.Shuffle(len(steps), func(i, j int) { steps[i], steps[j] = steps[j], steps[i] })
		// Sometimes not all comes.
		cut := len(steps)
		if rnd.IntN(2) == 0 {
			cut = rnd.IntN(len(steps) + 1)
		}
		for i, step := range steps[:cut] {
			if last > 0 {
				t.Fatalf("seed %d: over after %d of %d steps", seed, i, len(steps))
			}
			step()
		}
		if (last == 1) != (cut == len(steps)) {
			t.Fatalf("seed %d: over %d times after %d of %d steps", seed, last, cut, len(steps))
		}
		silent := q.cancel()
		if (len(silent) == 0) != (cut == len(steps)) {
			t.Fatalf("seed %d: silent are %q after %d of %d steps", seed, silent, cut, len(steps))
		}
		if len(qs.pending) != 0 {
			t.Fatalf("seed %d: it is still there", seed)
		}
	}
}

func TestQuestionsAreBounded(t *testing.T) {
	var qs questions
	ask := func() (q *question, over bool) {
		q = qs.ask(&hub.NodeRequest{}, func(r hub.NodeReply) { over = r.Last }, uid6)
		return q, over
	}
	var first *question
	for i := range maxQuestions {
		q, over := ask()
		if over {
			t.Fatalf("question %d is over at once", i)
		}
		if first == nil {
			first = q
		}
	}
	if q, over := ask(); !over || !slices.Equal(q.cancel(), []string{hub.Unnamed}) {
		t.Error("one too many waits")
	}
	first.hold([]byte("body"))
	if got := first.cancel(); !slices.Equal(got, []string{hub.Unnamed}) {
		t.Errorf("silent are %q", got)
	}
	if first.release() != nil {
		t.Error("what nobody waits for is sent still")
	}
	if _, over := ask(); over {
		t.Error("there is room again")
	}
	qs.close()
	if len(qs.pending) != 0 {
		t.Error("closed, with questions")
	}
	if _, over := ask(); !over {
		t.Error("it waits in vain after close")
	}
}
