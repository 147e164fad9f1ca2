package zeromq

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"greenroom/hub"
)

// Bounds of one request and its answer.
const (
	maxBatch      = 1000    // publications of a batch
	maxPage       = 1000    // rooms, sessions, members or messages of an answer
	defaultPage   = 100     // the same when the request does not say
	maxAnswer     = 1 << 20 // bytes of messages in an answer, roughly
	maxReason     = 255     // bytes of why somebody is disconnected
	saturatedWait = time.Second

	// nodesPatience is how long other nodes are waited for: less than a REQ socket is, which asks again then.
	nodesPatience = 1500 * time.Millisecond
)

func (c *control) ping(*controlCall) (any, error) {
	return struct {
		Node string `json:"node"`
		At   int64  `json:"at"`
	}{c.hub.Options().Node, time.Now().UnixMilli()}, nil
}

// published is where a publication has its place.
type published struct {
	Room      string `json:"room,omitempty"`
	ID        string `json:"id"`
	Epoch     string `json:"epoch,omitempty"`
	Seq       uint64 `json:"seq,omitempty"`
	Duplicate bool   `json:"duplicate,omitempty"`
}

func (c *control) publish(call *controlCall) (any, error) {
	done, err := c.publishOne(call, call.params, call.frames)
	if err != nil {
		return nil, err
	}
	if len(done) == 1 {
		return done[0], nil
	}
	return struct {
		published
		All []published `json:"published"`
	}{done[0], done}, nil
}

// publishOne publishes one envelope, into all of its rooms or none.
func (c *control) publishOne(call *controlCall, envelope json.RawMessage, frames [][]byte) ([]published, error) {
	if len(envelope) == 0 {
		return nil, coded("bad_request", "params are wanted: the publication")
	}
	pubs, err := parseEnvelope(envelope, c.format)
	if err != nil {
		return nil, err
	}
	args, err := addBinaries(pubs[0].Args, frames) // the rooms of one envelope share it
	if err != nil {
		return nil, err
	}
	for _, p := range pubs {
		if !call.peer.principal.MayPublish(p.Namespace, p.Room) {
			return nil, c.forbid(call, p.Room)
		}
	}
	if !c.bridge.unsaturated(call.peer) {
		return nil, coded("overloaded", "the server has more messages on their way than it can deliver; try again")
	}
	done := make([]published, 0, len(pubs))
	for _, p := range pubs {
		p.Args, p.Via, p.From = args, "zeromq", call.peer.from
		id, seq, err := c.hub.PublishSeq(p)
		duplicate := errors.Is(err, hub.ErrDuplicate)
		switch {
		case duplicate && id == "":
			return nil, coded("busy", "the first publication with this id is under way; try again")
		case err != nil && !duplicate:
			return nil, err
		}
		one := published{Room: p.Room, ID: id, Seq: seq, Duplicate: duplicate}
		if !duplicate {
			one.Epoch = c.hub.Epoch()
		}
		done = append(done, one)
	}
	return done, nil
}

// unsaturated waits for the hub to take messages, for a moment. false: it does not.
func (b *Bridge) unsaturated(p *peer) bool {
	for waited := time.Duration(0); b.hub.Saturated(); waited += pullPause {
		if waited >= saturatedWait || !p.endpoint.sleep(pullPause) {
			return false
		}
	}
	return true
}

func (c *control) publishBatch(call *controlCall) (any, error) {
	var messages []json.RawMessage
	if err := readObject(call.params, field{"messages", &messages}); err != nil {
		return nil, err
	}
	switch {
	case len(call.frames) > 0:
		return nil, coded("bad_request", "a batch has its binary values in bin, not in frames")
	case len(messages) == 0 || len(messages) > maxBatch:
		return nil, coded("bad_request", fmt.Sprintf("messages: an array of 1 to %d publications is wanted", maxBatch))
	case len(messages) > 1 && !call.bucket.AllowN(time.Now(), len(messages)-1):
		return nil, coded("rate_limited", fmt.Sprintf("more than %d publications a second", c.bridge.opts.ControlRate))
	}
	type outcome struct {
		OK bool `json:"ok"`
		*published
		All   []published `json:"published,omitempty"`
		Code  string      `json:"code,omitempty"`
		Error string      `json:"error,omitempty"`
	}
	outcomes := make([]outcome, len(messages))
	for i, m := range messages {
		done, err := c.publishOne(call, m, nil)
		if err != nil {
			refused := c.refuse(call, err)
			outcomes[i] = outcome{Code: refused.Code, Error: refused.Error}
			continue
		}
		outcomes[i] = outcome{OK: true, published: &done[0]}
		if len(done) > 1 {
			outcomes[i].All = done
		}
	}
	return map[string]any{"messages": outcomes}, nil
}

// reached says for how many sessions something was done.
type reached struct {
	Sessions int    `json:"sessions"`
	Missing  string `json:"missing,omitempty"` // which nodes did not say
}

// reachOf asks who is addressed, until all of them are as they were told to be. The first answer says so, because each
// loop answers behind what it was told before; but with an adapter that gives messages one order, what was told waits for
// its place while the question does not. A session may stay as it is, when it is in too many rooms already.
func reachOf(h *hub.Hub, p *peer, t hub.Target, told func(hub.Snapshot) bool) (r reached) {
	for deadline := time.Now().Add(nodesPatience); ; {
		found, err := t.Within(max(time.Until(deadline), time.Millisecond)).Sessions()
		r.Sessions = 0
		for _, s := range found {
			if told(s) {
				r.Sessions++
			}
		}
		if err != nil {
			r.Missing = err.Error()
		}
		if r.Sessions == len(found) || err != nil || h.Options().Adapter == nil || !time.Now().Before(deadline) || !p.endpoint.sleep(pullPause) {
			return r
		}
	}
}

func (c *control) join(call *controlCall) (any, error) {
	return c.move(call, func(t hub.Target, room string) (any, error) {
		if err := t.Join(room); err != nil {
			return nil, err
		}
		return reachOf(c.hub, call.peer, t, func(s hub.Snapshot) bool { return slices.Contains(s.Rooms, room) }), nil
	})
}

func (c *control) leave(call *controlCall) (any, error) {
	return c.move(call, func(t hub.Target, room string) (any, error) {
		t.Leave(room)
		return reachOf(c.hub, call.peer, t, func(s hub.Snapshot) bool { return !slices.Contains(s.Rooms, room) }), nil
	})
}

// move does what join and leave have in common.
func (c *control) move(call *controlCall, do func(t hub.Target, room string) (any, error)) (any, error) {
	var to addressee
	var room string
	if err := c.mayControl(call); err != nil {
		return nil, err
	}
	if err := readObject(call.params, append(to.fields(), field{"room", &room})...); err != nil {
		return nil, err
	}
	if err := hub.CheckRoom(room); err != nil {
		return nil, err
	}
	t, err := to.target(c.hub)
	if err != nil {
		return nil, err
	}
	return do(t, room)
}

func (c *control) kick(call *controlCall) (any, error) {
	var to addressee
	reason, whole := "kicked", false
	if err := c.mayControl(call); err != nil {
		return nil, err
	}
	if err := readObject(call.params, append(to.fields(), field{"reason", &reason}, field{"close", &whole})...); err != nil {
		return nil, err
	}
	if len(reason) > maxReason {
		return nil, coded("bad_request", fmt.Sprintf("reason is longer than %d bytes", maxReason))
	}
	t, err := to.target(c.hub)
	if err != nil {
		return nil, err
	}
	ids := make(map[string]bool)
	there := reachOf(c.hub, call.peer, t, func(s hub.Snapshot) bool { ids[s.ID] = true; return true })
	if whole {
		t.CloseConn(reason)
	} else {
		t.Disconnect(reason)
	}
	if there.Missing == "" { // else it would be waited for twice
		// They are gone when the answer comes. A client may be back meanwhile, as somebody new.
		there.Missing = reachOf(c.hub, call.peer, t, func(s hub.Snapshot) bool { return !ids[s.ID] }).Missing
	}
	return there, nil
}

// page is what the listing requests have in common.
type page struct {
	namespace, room, after string
	limit                  int
}

func (p *page) fields() []field {
	return []field{{"nsp", &p.namespace}, {"room", &p.room}, {"after", &p.after}, {"limit", &p.limit}}
}

// read reads params and checks them.
func (p *page) read(c *control, params json.RawMessage, more ...field) (*hub.Namespace, error) {
	p.limit = defaultPage
	if err := readObject(params, append(p.fields(), more...)...); err != nil {
		return nil, err
	}
	if p.limit < 1 || p.limit > maxPage {
		return nil, coded("bad_request", fmt.Sprintf("limit is 1 to %d", maxPage))
	}
	if p.namespace == "" {
		p.namespace = "/"
	}
	return namespaceCalled(c.hub, p.namespace)
}

// inRoom is read for requests about one room.
func (p *page) inRoom(c *control, call *controlCall, more ...field) (*hub.Namespace, error) {
	ns, err := p.read(c, call.params, more...)
	if err != nil {
		return nil, err
	}
	if err := hub.CheckRoom(p.room); err != nil {
		return nil, err
	}
	return ns, c.mayRead(call, p.namespace, p.room)
}

func (c *control) rooms(call *controlCall) (any, error) {
	var p page
	var prefix string
	ns, err := p.read(c, call.params, field{"prefix", &prefix})
	if err != nil {
		return nil, err
	}
	type room struct {
		Room    string `json:"room"`
		Members int    `json:"members"`
	}
	answer := struct {
		Rooms []room `json:"rooms"`
		pageEnd
	}{Rooms: []room{}}
	mayRead := func(name string) bool { return call.peer.principal.MayRead(p.namespace, name) }
	if c.hub.Options().Adapter == nil {
		found := ns.RoomPage(prefix, p.after, p.limit, mayRead)
		for _, r := range found {
			answer.Rooms = append(answer.Rooms, room{r.Name, r.Members})
		}
		if len(found) == p.limit {
			answer.Next = found[p.limit-1].Name
		}
		return answer, nil
	}
	q := hub.PageQuery{Prefix: prefix, After: p.after, Limit: p.limit}
	for deadline := time.Now().Add(nodesPatience); ; {
		q.Within = max(time.Until(deadline), time.Millisecond)
		found, end, err := ns.AllRoomPage(q)
		if answer.pageEnd, err = c.endOf(end, err); err != nil {
			return nil, err
		}
		for i, r := range found {
			if mayRead(r.Name) {
				answer.Rooms = append(answer.Rooms, room{r.Name, r.Members})
			}
			if q.After = r.Name; len(answer.Rooms) == p.limit {
				end.More = end.More || i < len(found)-1
				break
			}
		}
		if !end.More || len(found) == 0 {
			return answer, nil
		}
		// Rooms that the peer may not know of fill no page, and next names none of them.
		if n := len(answer.Rooms); n == p.limit || answer.Missing != "" || !time.Now().Before(deadline) {
			if n == 0 {
				return nil, coded("overloaded", "the rooms that you may read were not found in time; give a prefix")
			}
			answer.Next = answer.Rooms[n-1].Room
			return answer, nil
		}
		q.Limit = maxPage
	}
}

// pageEnd is how a list ends: what to say in after for what follows, which nodes have said what they have, and which
// have not.
type pageEnd struct {
	Next    string   `json:"next,omitempty"`
	Nodes   []string `json:"nodes,omitempty"`
	Missing string   `json:"missing,omitempty"`
}

// endOf tells missing answers from a failure.
func (c *control) endOf(end hub.PageEnd, err error) (pageEnd, error) {
	var e pageEnd
	if c.hub.Options().Adapter != nil {
		e.Nodes = slices.Sorted(slices.Values(end.Nodes))
	}
	if silent := (*hub.MissingError)(nil); errors.As(err, &silent) {
		e.Missing, err = err.Error(), nil
	}
	return e, err
}

// sessionView is a session as the control endpoint shows it.
type sessionView struct {
	ID        string   `json:"id"`
	User      string   `json:"user,omitempty"`
	Rooms     []string `json:"rooms"`
	Transport string   `json:"transport,omitempty"`
	Address   string   `json:"address,omitempty"`
	Node      string   `json:"node,omitempty"`
}

func viewOf(s hub.Snapshot) sessionView {
	v := sessionView{ID: s.ID, User: s.User(), Rooms: []string{}, Transport: s.Transport, Node: s.Node}
	for _, room := range s.Rooms {
		if hub.CheckRoom(room) == nil {
			v.Rooms = append(v.Rooms, room)
		}
	}
	if s.Handshake != nil && s.Handshake.Request != nil {
		v.Address = s.Handshake.RemoteAddr
	}
	return v
}

type sessionsAnswer struct {
	Sessions []sessionView `json:"sessions"`
	pageEnd
}

func (c *control) members(call *controlCall) (any, error) {
	var p page
	if err := c.mayControl(call); err != nil {
		return nil, err
	}
	ns, err := p.inRoom(c, call)
	if err != nil {
		return nil, err
	}
	return c.listSessions(ns, p)
}

func (c *control) sessions(call *controlCall) (any, error) {
	var p page
	var user string
	if err := c.mayControl(call); err != nil {
		return nil, err
	}
	ns, err := p.read(c, call.params, field{"user", &user})
	if err != nil {
		return nil, err
	}
	if user == "" {
		p.room = ""
		return c.listSessions(ns, p)
	}
	if err := hub.CheckUser(user); err != nil {
		return nil, err
	}
	found, err := ns.User(user).Within(nodesPatience).Sessions()
	end, err := c.endOf(hub.PageEnd{}, err)
	if err != nil {
		return nil, err
	}
	slices.SortFunc(found, func(a, b hub.Snapshot) int { return strings.Compare(a.ID, b.ID) })
	found = slices.DeleteFunc(found, func(s hub.Snapshot) bool { return s.ID <= p.after })
	more := len(found) > p.limit
	return c.sessionsPage(found[:min(len(found), p.limit)], more, end), nil
}

func (c *control) listSessions(ns *hub.Namespace, p page) (any, error) {
	found, all, err := ns.AllSessionPage(hub.PageQuery{Room: p.room, After: p.after, Limit: p.limit, Within: nodesPatience})
	end, err := c.endOf(all, err)
	if err != nil {
		return nil, err
	}
	return c.sessionsPage(found, all.More, end), nil
}

func (c *control) sessionsPage(found []hub.Snapshot, more bool, end pageEnd) sessionsAnswer {
	answer := sessionsAnswer{Sessions: []sessionView{}, pageEnd: end}
	size := 0
	for i, s := range found {
		v := viewOf(s)
		if v.Node == "" && c.hub.Options().Adapter != nil {
			v.Node = c.hub.Options().Node
		}
		if size += v.size(); size > maxAnswer && i > 0 {
			found, more = found[:i], true
			break
		}
		answer.Sessions = append(answer.Sessions, v)
	}
	if more && len(found) > 0 {
		answer.Next = found[len(found)-1].ID
	}
	return answer
}

// size is about what it takes.
func (v *sessionView) size() int {
	n := 200
	for _, room := range v.Rooms {
		n += len(room) + 3
	}
	return n
}

func (c *control) presence(call *controlCall) (any, error) {
	var p page
	ns, err := p.inRoom(c, call)
	if err != nil {
		return nil, err
	}
	members, count := ns.Present(p.room, p.limit)
	return map[string]any{"members": members, "count": count}, nil
}

// messageView is a publication as history and snapshot show it. Where args have {"_placeholder":true,"num":k} there
// was a binary value, which is bin[k] in base64.
type messageView struct {
	ID    string            `json:"id"`
	Seq   uint64            `json:"seq,omitempty"`
	Event string            `json:"event"`
	Args  []json.RawMessage `json:"args"`
	Meta  json.RawMessage   `json:"meta"`
	Bin   []string          `json:"bin,omitempty"`
}

func (c *control) viewOfMessage(m *hub.Message) (v messageView, size int, err error) {
	parts, err := m.Payload.Split()
	if err != nil || len(parts) < 2 {
		return v, 0, coded("internal", "a message of the room cannot be read")
	}
	last := len(parts) - 1
	v = messageView{ID: m.ID, Seq: m.Seq, Event: m.Event, Args: parts[1:last], Meta: c.meta(parts[last])}
	size = len(m.Payload.JSON)
	for _, b := range m.Payload.Attachments {
		v.Bin = append(v.Bin, base64.StdEncoding.EncodeToString(b))
		size += len(b)
	}
	return v, size, nil
}

// meta is a publication's as subscribers get it: without other nodes its epoch is the hub's.
func (c *control) meta(m json.RawMessage) json.RawMessage {
	epoch := c.bridge.egress.encoder.epoch
	if epoch == "" || len(m) < 2 || m[0] != '{' {
		return m
	}
	return slices.Concat(m[:len(m)-1], json.RawMessage(`,"epoch":"`+epoch+`"}`))
}

func (c *control) history(call *controlCall) (any, error) {
	var p page
	ns, err := p.inRoom(c, call)
	if err != nil {
		return nil, err
	}
	messages, complete := ns.History(p.room, p.after, p.limit)
	newest := p.after == "" || !complete // then the newest are wanted, else those right behind the one that is known
	if newest {
		slices.Reverse(messages)
	}
	views, size := []messageView{}, 0
	for _, m := range messages {
		v, n, err := c.viewOfMessage(m)
		if err != nil {
			return nil, err
		}
		if size += n; size > maxAnswer && len(views) > 0 {
			break
		}
		views = append(views, v)
	}
	if newest {
		slices.Reverse(views)
	}
	return struct {
		Messages []messageView `json:"messages"`
		Complete bool          `json:"complete"`
	}{views, complete}, nil
}

// roomView is a room in a snapshot: what has a seq up to its own is in there.
type roomView struct {
	Room     string       `json:"room"`
	Seq      uint64       `json:"seq"`
	Members  int          `json:"members"`
	Retained *messageView `json:"retained,omitempty"`
}

// snapshot is the second step of the Clone pattern: who has subscribed gets what to begin with.
func (c *control) snapshot(call *controlCall) (any, error) {
	var p page
	var prefix string
	if _, err := p.read(c, call.params, field{"prefix", &prefix}); err != nil {
		return nil, err
	}
	answer := struct {
		Epoch string     `json:"epoch"`
		Rooms []roomView `json:"rooms"`
		Next  string     `json:"next,omitempty"`
	}{Epoch: c.hub.Epoch(), Rooms: []roomView{}}
	if p.room != "" {
		if err := hub.CheckRoom(p.room); err != nil {
			return nil, err
		}
		if err := c.mayRead(call, p.namespace, p.room); err != nil {
			return nil, err
		}
		prefix, p.after = p.room, ""
	}
	c.hub.LoadRetained(cmp.Or(p.namespace, "/"), prefix, p.after, p.limit)
	states, more := c.hub.SnapshotPage(p.namespace, prefix, p.after, p.limit, func(name string) bool {
		return (p.room == "" || name == p.room) && call.peer.principal.MayRead(p.namespace, name)
	})
	size := 0
	for i, s := range states {
		view := roomView{Room: s.Room, Seq: s.Seq, Members: s.Members}
		if s.Retained != nil {
			v, n, err := c.viewOfMessage(s.Retained)
			if err != nil {
				return nil, err
			}
			if size += n; size > maxAnswer && i > 0 {
				states, more = states[:i], true
				break
			}
			view.Retained = &v
		}
		answer.Rooms = append(answer.Rooms, view)
	}
	if more {
		answer.Next = states[len(states)-1].Room
	}
	return answer, nil
}

func (c *control) stats(call *controlCall) (any, error) {
	if err := c.mayControl(call); err != nil {
		return nil, err
	}
	type namespace struct {
		Name     string `json:"name"`
		Sessions int    `json:"sessions"`
		Rooms    int    `json:"rooms"`
	}
	var namespaces []namespace
	all := c.hub.Namespaces()
	for _, ns := range all[:min(len(all), maxPage)] {
		namespaces = append(namespaces, namespace{ns.Name(), ns.SessionCount(), ns.RoomCount()})
	}
	peers := make(map[string]int)
	for name := range c.bridge.endpoints {
		peers[name] = c.bridge.Peers(name)
	}
	return map[string]any{
		"node": c.hub.Options().Node, "uptime": int64(time.Since(c.started).Seconds()), "sessions": c.hub.SessionCount(),
		"namespaces": namespaces, "peers": peers, "counters": c.hub.Counters(), "saturated": c.hub.Saturated(),
		"work": c.bridge.workers.Stats(),
	}, nil
}
