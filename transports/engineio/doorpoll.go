package engineio

import (
	"bytes"
	"net/http"
)

// maxKeptAnswer bounds what a loop keeps of the memory for an answer.
const maxKeptAnswer = 64 << 10

// headersOf is a head without its first line.
func headersOf(head []byte) string {
	_, headers, _ := bytes.Cut(head, []byte("\r\n"))
	return string(headers)
}

// serveGet answers a poll whose head has size bytes. The connection stays at the door.
func (g *guest) serveGet(r *http.Request, size int) {
	g.known = true
	g.timer.Stop()
	r.RemoteAddr = g.remote
	if g.reply == nil || g.reply.opened != nil {
		g.reply = &doorAnswer{loop: g.loop, guest: g}
	} else {
		g.reply.reset()
	}
	g.request, g.poll = r, nil
	if g.peek.Skip(size) != nil {
		return // OnPeekClose follows
	}
	g.door.srv.ServeHTTP(g.reply, r)
	if g.known && g.poll == nil { // it was refused, and did not come to wait
		g.send()
	}
}

// wait has a session answer the request, now or later.
func (g *guest) wait(r *http.Request, s *Socket) {
	p := &pollRequest{s: s, guest: g}
	switch {
	case s.loop != g.loop: // another session, with the id of the one that there was before
		g.door.srv.refuse(g.reply, r, errUnknownSID)
	case s.handler != nil:
		g.poll = p
		s.onPoll(p)
	case s.loop.PostJob(p): // behind the session's start
		g.poll = p
	default:
		s.orphaned()
	}
}

// answer is the session's answer to p.
func (g *guest) answer(p *pollRequest, resp response) {
	if g.gone {
		return // the session hears of it, or has
	}
	srv := g.door.srv
	if resp.err != nil {
		g.poll = nil // nothing is lost with a refusal
	}
	if resp.err != nil || resp.plain || srv.opts.HTTPCompression.coding(g.request, resp.body) == nil {
		srv.answerGet(g.reply, g.request, p, resp)
		g.send()
		return
	}
	go func() { // compressing takes time
		srv.answerGet(g.reply, g.request, p, resp)
		g.loop.Post(g.send) // or the connection has ended with its loop
	}()
}

// send sends the answer, and looks for the next request.
func (g *guest) send() {
	if g.gone {
		return
	}
	ends := g.request.Close || g.reply.closes() || g.door.closed()
	g.known, g.looks = false, 0
	b := &g.door.srv.locals[g.loop.ID()].answer
	if b.Cap() > maxKeptAnswer {
		*b = bytes.Buffer{}
	}
	b.Reset()
	g.reply.write(b, ends)
	g.peek.Write(b.Bytes())
	g.reply.body = nil
	switch {
	case ends:
		g.peek.CloseBehind()
		g.timer.Reset(g.door.srv.opts.BodyTimeout)
	case g.peek.Unsent():
		g.timer.Reset(g.door.srv.opts.BodyTimeout)
	default:
		g.timer.Reset(doorIdle)
	}
}
