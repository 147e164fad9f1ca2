package hub

import (
	"bytes"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode"
)

// RelayOptions bound what one client of [Relay] may do. Zero values mean the defaults given.
type RelayOptions struct {
	MaxRooms    int     // rooms that a session is in at once, default 128
	Rate        float64 // calls per second, default 1 000; negative: no limit
	Burst       int     // calls at once before Rate counts, default 5 000
	MaxMembers  int     // members listed in one answer, default 1 000
	MaxMessages int     // messages in one answer, default 100

	// MayJoinPrefix decides whether a session may hear all rooms whose names start with prefix; an error refuses it,
	// with its code if it is an [*Error]. On the session's loop. Default nil: nobody may.
	MayJoinPrefix func(s *Session, prefix string) error
	// MinPrefix is the length of the shortest prefix, in bytes, default 3.
	MinPrefix int
	// MaxPrefixes bounds the prefixes that a session has joined at once, default 8.
	MaxPrefixes int
}

// RelayHandler is what [Relay] makes: a handler for [Hub.Handle]. A session that it handles has no stack while its
// client is silent.
type RelayHandler struct{ opts RelayOptions }

// Relay is the built-in session handler: browsers and other clients meet in rooms without any code
// on the server. A client calls
//
//	join(room, {history: n, presence: true, retained: true}?) → {ok:true, members?, count?, messages?, retained?}
//	join(prefix + "*", {prefix: true, retained: true}?)       → {ok:true, retained?}
//	leave(room, {prefix: true}?)               → {ok:true}
//	publish(room, event, data, {echo, volatile, retain, id}?) → {ok:true, id}
//	presence(room)                             → {ok:true, members, count}
//	history(room, {limit, after}?)             → {ok:true, messages, complete}
//
// and gets event(data, meta) from the others, and presence({room, joined, left}) for the rooms it
// joined with presence. Members are {id, name?, user?, node?}; node is there when there are several. A refused call is acked
// {ok:false, error:{code, message}}. So is one with too many arguments, or with options that are neither an object nor null. Keys that options do not have are ignored,
// because clients may be newer than the server. The ids that others see are those of the sessions, but for clients
// of protocols whose sessions' ids are secrets, such as Socket.IO 2.x. The data of a publication may be null, but must be there.
// A publication with retain is what a later join with retained brings, as an object like those of history, without gap or
// double to the messages that follow; one whose data is null ends that. A join with prefix is for all rooms whose names
// start like that, those to come included, if [RelayOptions].MayJoinPrefix lets it: the session gets their messages
// and is present in none of them. What it gets as retained is then a list.
//
// With several nodes that share what rooms have ([SharedRooms]) all of that is about all of them; what a call needs of
// others is waited for, two seconds at most, and the session's later calls wait behind it.
func Relay(o RelayOptions) *RelayHandler {
	if o.MaxRooms == 0 {
		o.MaxRooms = 128
	}
	if o.Rate == 0 {
		o.Rate = 1000
	}
	if o.Burst == 0 {
		o.Burst = 5000
	}
	if o.MaxMembers == 0 {
		o.MaxMembers = 1000
	}
	if o.MaxMessages == 0 {
		o.MaxMessages = 100
	}
	if o.MinPrefix == 0 {
		o.MinPrefix = 3
	}
	if o.MaxPrefixes == 0 {
		o.MaxPrefixes = 8
	}
	return &RelayHandler{o}
}

// Serve runs the relay for the rest of the session, within a handler whose stack it leaves in place, as [Session.Serve]
// does a table. It returns when the client has left.
func (h *RelayHandler) Serve(s *Session) error {
	r := h.begin(s)
	serve := r.serve // on the loop's stack: to decode and encode JSON takes more than thousands of sessions should hold on to
	for ev := range s.Events() {
		r.ev = ev
		s.greenlet.OnLoop(serve)
		if r.start != nil {
			r.finish()
		}
	}
	return nil
}

// start is the handler of a session that rests between its events.
func (h *RelayHandler) start(s *Session) error {
	r := h.begin(s)
	s.passedOver(r)
	return s.rest(r)
}

func (h *RelayHandler) begin(s *Session) *relay {
	r := &relay{opts: &h.opts, s: s, tokens: float64(h.opts.Burst)}
	s.greenlet.OnLoop(r.introduce)
	return r
}

// relay is the state of one session.
type relay struct {
	opts   *RelayOptions
	s      *Session
	who    *Sender
	ev     *Event // being served
	tokens float64
	filled time.Duration // the loop's time when tokens was right

	// What the call being served waits for, if that is not here, and what follows. The greenlet parks in between, with
	// little on its stack; later calls wait for their turn.
	start func(over func())
	then  func() error
}

// finish waits for what a call has asked for, and answers the call. What follows is done in any case: it may have to
// give something back.
func (r *relay) finish() {
	ev, start, then := r.ev, r.start, r.then
	r.ev, r.start, r.then = nil, nil, nil
	_ = r.s.ns.hub.await(start) // then sees whether there is an answer
	r.s.greenlet.OnLoop(func() {
		if err := then(); err != nil {
			ev.Refuse(err)
		}
	})
}

func (r *relay) introduce() {
	r.who = &Sender{ID: r.s.shownID(), Name: claimedName(r.s), User: r.s.User(), Node: r.s.ns.hub.shownNode()}
	if !r.s.Recovered() {
		return
	}
	for _, room := range r.s.Rooms() { // it is here again
		if room[0] != '$' {
			in, joined := r.s.lockedIn(room)
			in.presentLocked(r.s, r.who)
			in.mu.Unlock()
			r.s.tellJoined(room, joined)
		}
	}
}

// handle serves a call in a session that rests, on a stack that is not the session's to keep. It parks where other nodes
// are asked.
func (r *relay) handle(ev *Event) {
	r.ev = ev
	if r.serve(); r.start != nil {
		r.finish()
	}
}

func (r *relay) over() {}

func (r *relay) serve() {
	ev := r.ev
	err := r.call(ev)
	if r.start == nil {
		r.ev = nil
	}
	if err != nil {
		ev.Refuse(err)
	}
}

func (r *relay) call(ev *Event) error {
	if !r.allowed() {
		r.s.ns.hub.Count("relay_rate_limited")
		return refusal("rate_limited", "more than %g calls a second", r.opts.Rate)
	}
	switch ev.Name {
	case "join":
		return r.join(ev)
	case "leave":
		return r.leave(ev)
	case "publish":
		return r.publish(ev)
	case "presence":
		return r.presence(ev)
	case "history":
		return r.history(ev)
	}
	return refusal("unknown_event", "no such call: %q", clip(ev.Name))
}

// allowed is a token bucket on the loop's clock.
func (r *relay) allowed() bool {
	if r.opts.Rate < 0 {
		return true
	}
	now := r.s.loop.Now()
	r.tokens = min(float64(r.opts.Burst), r.tokens+(now-r.filled).Seconds()*r.opts.Rate)
	r.filled = now
	if r.tokens < 1 {
		return false
	}
	r.tokens--
	return true
}

func (r *relay) join(ev *Event) error {
	var room string
	var opts struct {
		History  int  `json:"history"`
		Presence bool `json:"presence"`
		Retained bool `json:"retained"`
		Prefix   bool `json:"prefix"`
	}
	if err := roomAndOptions(ev, &room, &opts); err != nil {
		return err
	}
	if opts.History < 0 {
		return refusal("bad_arguments", "join: history is negative")
	}
	s := r.s
	if !s.Connected() {
		return ErrGone
	}
	if opts.Prefix {
		if opts.Presence || opts.History > 0 {
			return refusal("bad_arguments", "join: a prefix has neither members nor history")
		}
		return r.joinPrefix(ev, room, opts.Retained)
	}
	if !s.In(room) {
		if n := s.named(); n >= r.opts.MaxRooms {
			s.ns.hub.Count("relay_too_many_rooms")
			return refusal("too_many_rooms", "in %d rooms already", n)
		}
		if s.ns.Session(room) != nil {
			return refusal("forbidden", "a session's id is not a room to join")
		}
	}
	if opts.Presence {
		// Before the list is taken: an update that overlaps with it says what it says, twice.
		watched, _ := s.lockedIn(presenceRoom(room))
		watched.mu.Unlock()
	}
	j := &joining{r: r, ev: ev, room: room, history: min(opts.History, r.opts.MaxMessages), presence: opts.Presence, retained: opts.Retained}
	if j.waits() {
		return nil
	}
	in, joined := s.lockedIn(room)
	in.presentLocked(s, r.who)
	if j.history > 0 {
		j.messages, _ = in.history.last(j.history, "")
	}
	if j.presence {
		j.members, j.count = in.membersLocked(r.opts.MaxMembers)
	}
	if j.retained { // in the room's lock: what is retained later comes as a message
		j.kept = s.ns.hub.retained.lockedGet(s.ns.hub, s.ns.name, room)
	}
	in.mu.Unlock()
	s.tellJoined(room, joined)
	return j.answer()
}

func (r *relay) leave(ev *Event) error {
	var room string
	var opts struct {
		Prefix bool `json:"prefix"`
	}
	if err := roomAndOptions(ev, &room, &opts); err != nil {
		return err
	}
	if opts.Prefix {
		r.s.LeavePrefix(strings.TrimSuffix(room, "*"))
	} else {
		r.s.Leave(room)
	}
	// Behind the room's messages that are on their way: after the ack no more come.
	r.s.loop.Post(func() { _ = ev.Ack(map[string]any{"ok": true}) }) // such an answer always encodes
	return nil
}

func (r *relay) publish(ev *Event) error {
	var room, event string
	if err := atMost(ev, 4); err != nil {
		return err
	}
	if err := ev.Args(&room, &event, nil); err != nil {
		return err
	}
	var opts struct {
		Echo     bool   `json:"echo"`
		Volatile bool   `json:"volatile"`
		Retain   bool   `json:"retain"`
		ID       string `json:"id"`
	}
	if err := options(ev, 3, &opts); err != nil {
		return err
	}
	raw := ev.Raw()
	data := validJSON{json: raw[2]}
	if bytes.Contains(raw[2], []byte("placeholder")) {
		data.attachments = ev.payload.Attachments
	}
	p := Publication{
		Namespace: r.s.ns.name, Room: room, Event: event, Args: []any{data},
		From: r.who, Volatile: opts.Volatile, Retain: opts.Retain, skip: r.s,
	}
	if opts.ID != "" {
		if len(opts.ID) > maxEventName {
			return refusal("bad_arguments", "the id is longer than %d bytes", maxEventName)
		}
		p.ID = r.who.ID + "/" + opts.ID // a client cannot take another's ids
	}
	if opts.Echo {
		p.skip = nil
	}
	if h := r.s.ns.hub; p.ID != "" && h.shared != nil {
		r.publishOnce(ev, p)
		return nil
	}
	id, err := r.s.ns.hub.Publish(p)
	return published(ev, id, err)
}

// published answers a publication.
func published(ev *Event, id string, err error) error {
	switch {
	case err != nil && !errors.Is(err, ErrDuplicate):
		return err
	case id == "":
		return refusal("busy", "the first publication with this id is under way")
	}
	return ev.Ack(map[string]any{"ok": true, "id": id})
}

func (r *relay) presence(ev *Event) error {
	var room string
	if err := roomAndOptions(ev, &room, &struct{}{}); err != nil {
		return err
	}
	answer := func(members []*Sender, count int) error {
		return ev.Ack(map[string]any{"ok": true, "members": members, "count": count})
	}
	if r.read(room, RoomQuery{Members: r.opts.MaxMembers}, func(in *Room, view *RoomView) func() error {
		members, count := in.presentMembersLocked(view, r.opts.MaxMembers)
		return func() error { return answer(members, count) }
	}) {
		return nil
	}
	members, count := []*Sender{}, 0
	if in := r.s.ns.lookupRoom(room); in != nil {
		in.mu.Lock()
		members, count = in.membersLocked(r.opts.MaxMembers)
		in.mu.Unlock()
	}
	return answer(members, count)
}

func (r *relay) history(ev *Event) error {
	var room string
	opts := struct {
		Limit int    `json:"limit"`
		After string `json:"after"`
	}{Limit: r.opts.MaxMessages}
	if err := roomAndOptions(ev, &room, &opts); err != nil {
		return err
	}
	if opts.Limit < 0 {
		return refusal("bad_arguments", "history: limit is negative")
	}
	limit := min(opts.Limit, r.opts.MaxMessages)
	answer := func(messages []*Message, complete bool) error {
		list, err := objects(fitting(messages, opts.After == "" || !complete, maxBinary))
		if err != nil {
			return err
		}
		return ev.Ack(map[string]any{"ok": true, "messages": list, "complete": complete})
	}
	if query := r.s.ns.historyQuery(opts.After, limit); r.read(room, query, func(in *Room, view *RoomView) func() error {
		messages, complete := in.historyLocked(view, opts.After, limit)
		return func() error { return answer(messages, complete) }
	}) {
		return nil
	}
	var messages []*Message
	complete := opts.After == ""
	if in := r.s.ns.lookupRoom(room); in != nil {
		in.mu.Lock()
		messages, complete = in.history.last(limit, opts.After)
		in.mu.Unlock()
	}
	return answer(messages, complete)
}

// roomAndOptions decodes (room, options?) and checks the room's name.
func roomAndOptions(ev *Event, room *string, opts any) error {
	if err := atMost(ev, 2); err != nil {
		return err
	}
	if err := ev.Args(room); err != nil {
		return err
	}
	if err := CheckRoom(*room); err != nil {
		return err
	}
	return options(ev, 1, opts)
}

// atMost refuses calls with more arguments than there are.
func atMost(ev *Event, n int) error {
	if got := len(ev.Raw()); got > n {
		return refusal("bad_arguments", "%s: want at most %s, got %d", ev.Name, plural(n, "argument"), got)
	}
	return nil
}

// options decodes the argument at index i into a struct. It may be missing, or null.
func options(ev *Event, i int, into any) error {
	if len(ev.Raw()) <= i {
		return nil
	}
	raw := ev.Raw()[i]
	if string(raw) == "null" {
		return nil
	}
	if kind := ev.payload.kindOf(raw); kind != "an object" {
		return refusal("bad_arguments", "%s: options: want an object, got %s", ev.Name, kind)
	}
	if err := ev.payload.Decode(raw, into); err != nil {
		return refusal("bad_arguments", "%s: options: %v", ev.Name, err)
	}
	return nil
}

// fitting shortens a list of publications until its binary values fit into what one answer may hold of them: to the
// newest ones, or to the oldest.
func fitting(messages []*Message, newest bool, most int) []*Message {
	sum := 0
	if newest {
		for i, m := range slices.Backward(messages) {
			if sum += len(m.Payload.Attachments); sum > most {
				return messages[i+1:]
			}
		}
		return messages
	}
	for i, m := range messages {
		if sum += len(m.Payload.Attachments); sum > most {
			return messages[:i]
		}
	}
	return messages
}

// objects turns publications into what an answer holds.
func objects(messages []*Message) ([]any, error) {
	list := make([]any, 0, len(messages))
	for _, m := range messages {
		e, err := entry(m)
		if err != nil {
			return nil, refusal("internal", "a message of the room's history cannot be read")
		}
		list = append(list, e.object())
	}
	return list, nil
}

// maxClaimedName is the longest name that is shown, in bytes.
const maxClaimedName = 64

// claimedName is the name in the CONNECT payload, made fit to be shown: it is a claim, not an identity.
func claimedName(s *Session) string {
	var auth struct {
		Name string `json:"name"`
	}
	if hs := s.Handshake(); len(hs.Auth) == 0 || json.Unmarshal(hs.Auth, &auth) != nil {
		return ""
	}
	name := strings.ToValidUTF8(auth.Name, "")
	name = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return -1
		}
		return r
	}, name)
	for len(name) > maxClaimedName {
		name = strings.ToValidUTF8(name[:maxClaimedName], "")
	}
	return strings.TrimSpace(name)
}
