package coop_test

import "greenroom/coop"

func init() {
	waitables["group"] = func(g *coop.Greenlet) waitable {
		var gr coop.Group
		var done coop.Event
		member := gr.Spawn(g, done.Wait)
		g.Yield()
		return waitable{
			wait: gr.Join,
			// Giving has to take effect at once; that a member has ended shows only in the next tick.
			give: func() { gr.Discard(member) },
			try:  func() bool { return gr.Len() == 0 },
			flag: true,
		}
	}
	full := func(g *coop.Greenlet) (*coop.Pool, []*coop.Greenlet) {
		p := coop.NewPool(6)
		var members []*coop.Greenlet
		for !p.Full() {
			m, _ := p.TrySpawn(g, new(coop.Event).Wait)
			members = append(members, m)
		}
		g.Yield()
		return p, members
	}
	waitables["pool spawn"] = func(g *coop.Greenlet) waitable {
		p, members := full(g)
		forever := new(coop.Event).Wait
		return waitable{
			wait: func(g *coop.Greenlet) error { _, err := p.Spawn(g, forever); return err },
			give: func() { p.Discard(members[0]); members = members[1:] },
			try:  func() bool { _, ok := p.TrySpawn(g, forever); return ok },
		}
	}
	waitables["pool add"] = func(g *coop.Greenlet) waitable {
		p, members := full(g)
		return waitable{
			wait: func(g *coop.Greenlet) error { return p.Add(g, g.Spawn(new(coop.Event).Wait)) },
			give: func() { p.Discard(members[0]); members = members[1:] },
			try:  func() bool { return p.TryAdd(g.Spawn(new(coop.Event).Wait)) },
		}
	}
	waitables["pool available"] = func(g *coop.Greenlet) waitable {
		p, members := full(g)
		return waitable{
			wait: p.WaitAvailable,
			give: func() { p.Discard(members[0]); members = members[1:] },
			try:  func() bool { return !p.Full() },
			flag: true,
		}
	}
}
