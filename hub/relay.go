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
// joined with presence. A refused call is acked {ok:false, error:{code, message}}. So is one with too many
// arguments, or with options that are neither an object nor null. Keys that options do not have are ignored,
// because clients may be newer than the server. The ids that others see are those of the sessions, but for clients
// of protocols whose sessions' ids are secrets, such as Socket.IO 2.x. The data of a publication may be null, but must be there.
// A publication with retain is what a later join with retained brings, as an object like those of history, without gap or
// double to the messages that follow; one whose data is null ends that. A join with prefix is for all rooms whose names
// start like that, those to come included, if [RelayOptions].MayJoinPrefix lets it: the session gets their messages
// and is present in none of them. What it gets as retained is then a list.
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
		r.hear(ev)
		r.ev = ev
		s.greenlet.OnLoop(serve)
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
}

func (r *relay) introduce() {
	r.who = &Sender{ID: r.s.shownID(), Name: claimedName(r.s), User: r.s.User()}
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

// hear has a join wait until other nodes' messages to its room come, so that none is missed between it and its ack. The
// session's calls keep their order: they wait behind it.
func (r *relay) hear(ev *Event) {
	if ev.Name != "join" || r.s.ns.hub.rooms == nil {
		return
	}
	var room string
	raw := ev.Raw()
	if len(raw) == 0 || len(raw) > 1 && bytes.Contains(raw[1], []byte("prefix")) || ev.Args(&room) != nil || CheckRoom(room) != nil {
		return
	}
	_ = r.s.Hear(room) // who waits in vain joins all the same
}

// handle serves a call in a session that rests, on a stack that is not the session's to keep. Only a join may park.
func (r *relay) handle(ev *Event) {
	r.hear(ev)
	r.ev = ev
	r.serve()
}

func (r *relay) over() {}

func (r *relay) serve() {
	ev := r.ev
	r.ev = nil
	if err := r.call(ev); err != nil {
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
	answer := map[string]any{"ok": true}
	in, joined := s.lockedIn(room)
	in.presentLocked(s, r.who)
	var messages []*Message
	if opts.History > 0 {
		messages, _ = in.history.last(min(opts.History, r.opts.MaxMessages), "")
	}
	if opts.Presence {
		answer["members"], answer["count"] = in.membersLocked(r.opts.MaxMembers)
	}
	var kept *Message
	if opts.Retained { // in the room's lock: what is retained later comes as a message
		kept = s.ns.hub.retained.lockedGet(s.ns.hub, s.ns.name, room)
	}
	in.mu.Unlock()
	s.tellJoined(room, joined)
	binary := 0
	if kept != nil {
		e, err := entry(kept)
		if err != nil {
			return refusal("internal", "the room's retained message cannot be read")
		}
		answer["retained"] = e.object()
		binary = len(kept.Payload.Attachments)
	}
	if opts.History > 0 {
		list, err := objects(fitting(messages, true, maxBinary-binary))
		if err != nil {
			return err
		}
		answer["messages"] = list
	}
	return ev.Ack(answer)
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
	id, err := r.s.ns.hub.Publish(p)
	if err != nil && !errors.Is(err, ErrDuplicate) {
		return err
	}
	return ev.Ack(map[string]any{"ok": true, "id": id})
}

func (r *relay) presence(ev *Event) error {
	var room string
	if err := roomAndOptions(ev, &room, &struct{}{}); err != nil {
		return err
	}
	members, count := []*Sender{}, 0
	if in := r.s.ns.lookupRoom(room); in != nil {
		in.mu.Lock()
		members, count = in.membersLocked(r.opts.MaxMembers)
		in.mu.Unlock()
	}
	return ev.Ack(map[string]any{"ok": true, "members": members, "count": count})
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
	var messages []*Message
	complete := opts.After == ""
	if in := r.s.ns.lookupRoom(room); in != nil {
		in.mu.Lock()
		messages, complete = in.history.last(min(opts.Limit, r.opts.MaxMessages), opts.After)
		in.mu.Unlock()
	}
	list, err := objects(fitting(messages, opts.After == "" || !complete, maxBinary))
	if err != nil {
		return err
	}
	return ev.Ack(map[string]any{"ok": true, "messages": list, "complete": complete})
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
