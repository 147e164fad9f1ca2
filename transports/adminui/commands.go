package adminui

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"greenroom/hub"
)

// reasonDisconnect is why sessions end that an administrator disconnects, as in Node.js.
const reasonDisconnect = "server namespace disconnect"

// offer sets what this server offers, in the order in which the Node.js server names it.
func (a *Admin) offer() {
	if !a.opts.ReadOnly {
		a.features = append(a.features, "EMIT", "JOIN", "LEAVE", "DISCONNECT", "MJOIN", "MLEAVE", "MDISCONNECT")
		a.commands = map[string]func(*hub.Event) error{
			"emit": a.emit, "join": a.join, "leave": a.leave, "_disconnect": a.disconnect,
		}
	}
	a.features = append(a.features, "AGGREGATED_EVENTS")
	if a.opts.Mode == Development {
		a.features = append(a.features, "ALL_EVENTS")
	}
}

// Errors of commands.
var (
	errNotOffered  = errors.New("no such command here")
	errNoNamespace = errors.New("no such namespace")
	errHubsRoom    = errors.New("names starting with \"$\" are the hub's")
	errFilter      = errors.New("neither a room nor a session's id nor a list of such")
)

// command does what an administrator asks for. The pages want no answer.
func (a *Admin) command(ev *hub.Event) {
	do, err := a.commands[ev.Name], errNotOffered
	if do != nil {
		err = do(ev)
	}
	by := remote(ev.Session().Handshake())
	if err != nil {
		a.hub.Count("adminui_command_refused")
		a.log.Warn("an administrator's command was refused", "command", short(ev.Name), "remote", by, "error", err)
		return
	}
	a.log.Info("an administrator's command", "command", ev.Name, "arguments", short(string(ev.Payload().JSON)), "remote", by)
}

// short is enough of a text for the log.
func short(s string) string {
	if len(s) > 200 {
		return s[:200] + "…"
	}
	return s
}

// target is whom a command is for: everybody in a namespace, or a room or session of it, or several.
func (a *Admin) target(nsp string, filter json.RawMessage) (hub.Target, error) {
	if !a.hub.HasNamespace(nsp) {
		return hub.Target{}, errNoNamespace
	}
	rooms, err := filterRooms(filter)
	return a.hub.Of(nsp).To(rooms...), err
}

// filterRooms reads a filter. Nothing, null, false and "" mean everybody, as they do in JavaScript; what is no filter
// must not.
func filterRooms(filter json.RawMessage) ([]string, error) {
	switch string(filter) {
	case "", "null", "false", `""`:
		return nil, nil
	}
	var one string
	if json.Unmarshal(filter, &one) == nil {
		return []string{one}, nil
	}
	var many []string
	if json.Unmarshal(filter, &many) != nil || len(many) == 0 {
		return nil, errFilter
	}
	return many, nil
}

// argument is one argument of an event, nil when there is none.
func argument(ev *hub.Event, i int) json.RawMessage {
	if raw := ev.Raw(); i < len(raw) {
		return raw[i]
	}
	return nil
}

// emit(nsp, filter, event, …args)
func (a *Admin) emit(ev *hub.Event) error {
	var nsp, name string
	if err := ev.Args(&nsp, nil, &name); err != nil {
		return err
	}
	t, err := a.target(nsp, argument(ev, 1))
	if err != nil {
		return err
	}
	args := make([]any, len(ev.Raw())-3)
	for i, raw := range ev.Raw()[3:] {
		if len(ev.Payload().Attachments) == 0 {
			args[i] = raw // as it is: numbers keep their digits
			continue
		}
		if err := ev.Payload().Decode(raw, &args[i]); err != nil {
			return fmt.Errorf("argument %d: %w", i, err)
		}
	}
	return t.Emit(name, args...)
}

// join(nsp, room, filter)
func (a *Admin) join(ev *hub.Event) error {
	t, room, err := a.members(ev)
	if err != nil {
		return err
	}
	return t.Join(room)
}

// leave(nsp, room, filter)
func (a *Admin) leave(ev *hub.Event) error {
	t, room, err := a.members(ev)
	if err != nil {
		return err
	}
	t.Leave(room)
	return nil
}

// members reads the arguments of join and leave. The hub's own rooms are none of an administrator's.
func (a *Admin) members(ev *hub.Event) (t hub.Target, room string, err error) {
	var nsp string
	if err := ev.Args(&nsp, &room); err != nil {
		return t, "", err
	}
	if strings.HasPrefix(room, "$") {
		return t, "", errHubsRoom
	}
	t, err = a.target(nsp, argument(ev, 2))
	return t, room, err
}

// _disconnect(nsp, close, filter)
func (a *Admin) disconnect(ev *hub.Event) error {
	var nsp string
	var closeConn *bool
	if err := ev.Args(&nsp, &closeConn); err != nil {
		return err
	}
	t, err := a.target(nsp, argument(ev, 2))
	if err != nil {
		return err
	}
	if closeConn != nil && *closeConn {
		t.CloseConn(reasonDisconnect)
		return nil
	}
	t.Disconnect(reasonDisconnect)
	return nil
}
