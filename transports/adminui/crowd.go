package adminui

import (
	"encoding/json"
	"slices"

	"greenroom/coop"
	"greenroom/hub"
)

// crowd is who is on one loop. // loop
type crowd struct {
	sessions map[*hub.Session]struct{}
	changes  uint64   // of sessions, their rooms and data
	_        [48]byte // a cache line of its own
}

func (a *Admin) crowd(s *hub.Session) *crowd { return &a.crowds[s.Greenlet().Loop().ID()] }

func (c *crowd) add(s *hub.Session) {
	c.sessions[s] = struct{}{}
	c.changes++
}

func (c *crowd) remove(s *hub.Session) {
	delete(c.sessions, s)
	c.changes++
}

// view is what one loop shows of its crowd.
type view struct {
	loop    int
	changes uint64
	sockets []socket
	omitted int
}

// look describes the sessions, in so many bytes.
func (c *crowd) look(room int) view {
	v := view{changes: c.changes}
	for s := range c.sessions {
		sock := describe(s.Snapshot(), dataJSON(s.Data))
		if room -= sock.size(); room < 0 {
			v.omitted = len(c.sessions) - len(v.sockets)
			break
		}
		v.sockets = append(v.sockets, sock)
	}
	return v
}

// size is about how long the socket's JSON is.
func (s *socket) size() int {
	n := 400 + len(s.ID) + len(s.Nsp) + len(s.Data) + len(s.Handshake.URL)
	for _, room := range s.Rooms {
		n += len(room) + 3
	}
	for _, m := range []map[string]string{s.Handshake.Headers, s.Handshake.Query} {
		for k, v := range m {
			n += len(k) + len(v) + 6
		}
	}
	return n
}

// maxLooks is how often everything is shown anew because something has changed meanwhile.
const maxLooks = 3

// showAll tells a new administrator of all sessions. What happens while they are collected is told to him first, and
// then overwritten: so he is told all again if something did, within reason.
func (a *Admin) showAll(s *hub.Session) error {
	elsewhere, err := a.elsewhere()
	if err != nil {
		return err
	}
	for range maxLooks {
		views, err := a.look(s.Greenlet(), func(c *crowd) view { return c.look(a.hub.Options().OutboxBytes / 2 / len(a.crowds)) })
		if err != nil {
			return err
		}
		all, changes := slices.Clip(elsewhere), make([]uint64, len(views))
		for _, v := range views {
			all = append(all, v.sockets...)
			changes[v.loop] = v.changes
			if v.omitted > 0 {
				a.hub.Count("adminui_sessions_omitted")
				a.log.Warn("an administrator is not told of all sessions", "omitted", v.omitted, "loop", v.loop)
			}
		}
		if err := s.Emit("all_sockets", all); err != nil {
			return err
		}
		again := false
		views, err = a.look(s.Greenlet(), func(c *crowd) view { return view{changes: c.changes} })
		if err != nil {
			return err
		}
		for _, v := range views {
			again = again || v.changes != changes[v.loop]
		}
		if !again {
			break
		}
	}
	return nil
}

// look has every loop look at its crowd, and parks until all have.
func (a *Admin) look(g *coop.Greenlet, at func(*crowd) view) ([]view, error) {
	return coop.Await(g, func() ([]view, error) {
		loops := a.hub.Loops().All()
		seen := make(chan view, len(loops))
		for i, l := range loops {
			if !l.Post(func() {
				v := at(&a.crowds[i])
				v.loop = i
				seen <- v
			}) {
				return nil, hub.ErrClosed
			}
		}
		views := make([]view, 0, len(loops))
		for range loops {
			select {
			case v := <-seen:
				views = append(views, v)
			case <-g.Done(): // also when the hub closes
				return nil, g.Err()
			}
		}
		return views, nil
	})
}

// elsewhere lists the sessions on other nodes.
func (a *Admin) elsewhere() ([]socket, error) {
	all := []socket{} // [] in JSON
	if a.hub.Options().Adapter == nil {
		return all, nil
	}
	room := a.hub.Options().OutboxBytes / 4
	for _, ns := range a.hub.Namespaces() {
		if ns.Name() == a.opts.Namespace {
			continue
		}
		list, err := ns.To().Sessions()
		if err != nil {
			a.log.Warn("an administrator is not told of all sessions", "namespace", ns.Name(), "error", err)
		}
		for _, snap := range list {
			if snap.Node == "" {
				continue
			}
			data := dataJSON(nil)
			if d, ok := snap.Data.(json.RawMessage); ok { // anything else belongs to that node
				data = dataJSON(d)
			}
			sock := describe(snap, data)
			if room -= sock.size(); room < 0 {
				a.hub.Count("adminui_sessions_omitted")
				return all, nil
			}
			all = append(all, sock)
		}
	}
	return all, nil
}
