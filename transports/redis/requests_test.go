//go:build unix

package redis

import (
	"errors"
	"fmt"
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
		steps := []func(){func() { q.confirm(true); q.expect(others) }}
		for i := range others {
			name := string(rune('a' + i))
			node := answerFrom{request: q.id, id: name, name: name}
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
	first.hold(func(string) ([]byte, error) { return nil, nil })
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

// What a node answers beyond what it was asked counts for nothing, neither do answers to another question.
func TestQuestionsTakeEachAnswerOnce(t *testing.T) {
	var qs questions
	ask := func(op hub.Op) (q *question, got *[]hub.NodeReply) {
		got = new([]hub.NodeReply)
		q = qs.ask(&hub.NodeRequest{Op: op}, func(r hub.NodeReply) { *got = append(*got, r) }, uid6)
		q.confirm(true)
		q.expect(2)
		*got = nil
		return q, got
	}
	from := func(q *question, id string) answerFrom { return answerFrom{request: q.id, id: id, name: id} }
	q, got := ask(hub.OpSessions)
	if err := q.node(answerFrom{request: "other", id: "a"}, hub.NodeReply{}); !errors.Is(err, errUnasked) {
		t.Errorf("an answer to another question: %v", err)
	}
	for i := range 1000 {
		if err := q.node(from(q, "a"), hub.NodeReply{}); (err == nil) != (i == 0) {
			t.Fatalf("answer %d: %v", i, err)
		}
	}
	if len(*got) != 1 || (*got)[0].Last {
		t.Errorf("got %+v", *got)
	}
	if err := q.node(from(q, "b"), hub.NodeReply{}); err != nil || len(*got) != 2 || !(*got)[1].Last {
		t.Errorf("got %+v, %v", *got, err)
	}

	q, got = ask(hub.OpAsk)
	a := from(q, "a")
	taken := 0
	for _, step := range []struct {
		err error
		ok  bool
	}{
		{q.asked(a, 2), true}, {q.asked(a, 5), false}, {q.client(a, hub.Answer{}), true}, {q.missing(a, make([]string, 2)), false},
		{q.missing(a, make([]string, 1)), true}, {q.client(a, hub.Answer{}), false},
	} {
		if (step.err == nil) != step.ok {
			t.Errorf("after %d steps: %v", taken, step.err)
		}
		taken++
	}
	if silent := q.cancel(); len(*got) != 3 || !slices.Equal(silent, []string{hub.Unnamed}) {
		t.Errorf("got %+v, silent are %q", *got, silent)
	}

	q, got = ask(hub.OpSessions)
	big := from(q, "big")
	if big.bytes = maxAnswerBytes + 1; q.node(big, hub.NodeReply{}) == nil || len(*got) != 0 {
		t.Error("more than is kept was taken")
	}
	q.cancel()
	q, _ = ask(hub.OpSessions)
	for i := range maxAnswerers + 1 {
		q.expect(maxAnswerers + 10)
		if err := q.node(from(q, fmt.Sprint(i)), hub.NodeReply{}); (err == nil) != (i < maxAnswerers) {
			t.Fatalf("node %d: %v", i, err)
		}
	}
	q.cancel()
}

// A question that is asked again has another id, and what was answered to the first does not count.
func TestQuestionsAreAskedAgainAsOthers(t *testing.T) {
	var qs questions
	var got []hub.NodeReply
	q := qs.ask(&hub.NodeRequest{Op: hub.OpRooms}, func(r hub.NodeReply) { got = append(got, r) }, uid6)
	was := answerFrom{request: q.id, name: hub.Unnamed}
	if err := q.node(was, hub.NodeReply{Rooms: []string{"a"}}); err != nil || len(got) != 0 {
		t.Fatalf("got %+v, %v", got, err)
	}
	q.confirm(false)
	if q.id == was.request || qs.find(was.request) != nil || qs.find(q.id) != q {
		t.Fatal("it is still called so")
	}
	if err := q.node(was, hub.NodeReply{Rooms: []string{"a"}}); !errors.Is(err, errUnasked) {
		t.Errorf("a late answer: %v", err)
	}
	if err := q.node(answerFrom{request: q.id, name: hub.Unnamed}, hub.NodeReply{Rooms: []string{"a"}}); err != nil {
		t.Error(err)
	}
	q.confirm(true)
	q.expect(1)
	if len(got) != 2 || len(got[0].Rooms) != 1 || !got[1].Last {
		t.Errorf("got %+v", got)
	}
	q.cancel()

	// What clients are asked may have reached them: it is over, with what they have said.
	got = nil
	q = qs.ask(&hub.NodeRequest{Op: hub.OpAsk}, func(r hub.NodeReply) { got = append(got, r) }, uid6)
	_ = q.client(answerFrom{request: q.id, id: "a"}, hub.Answer{Session: "s"})
	q.confirm(false)
	if len(got) != 2 || len(got[0].Answers) != 1 || !got[1].Last {
		t.Errorf("got %+v", got)
	}
}
