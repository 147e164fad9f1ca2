package coop

// A Local is a variable of which each greenlet has its own: made when the greenlet first uses it, gone with the
// greenlet. Make it a package's variable; the zero value is ready. It costs an allocation and a
// few dozen bytes for each greenlet that uses it, and a look through the greenlet's locals, usually one or
// two, for each access. gevent's local. Loop only.
type Local[T any] struct {
	// Inherit gives a new greenlet a copy of what its parent has when it spawns it; what either
	// sets later is its own. Set it before the first use.
	Inherit bool
}

// local is one variable of a greenlet, of any type.
type local struct {
	of   any // the *Local[T]
	cell anyCell
}

// anyCell is a *cell[T] of any T.
type anyCell interface {
	heir() anyCell // the cell for a child, nil if it gets none
}

// cell holds the value.
type cell[T any] struct {
	of *Local[T]
	v  T
}

func (c *cell[T]) heir() anyCell {
	if !c.of.Inherit {
		return nil
	}
	return &cell[T]{c.of, c.v}
}

func (l *Local[T]) find(g *Greenlet) *cell[T] {
	if g.more == nil {
		return nil
	}
	for _, e := range g.more.locals {
		if e.of == any(l) {
			return e.cell.(*cell[T])
		}
	}
	return nil
}

// Get returns g's value and whether it has one.
func (l *Local[T]) Get(g *Greenlet) (v T, ok bool) {
	if c := l.find(g); c != nil {
		return c.v, true
	}
	return v, false
}

// Ptr returns where g's value is, which is a zero value at first. The pointer is good for the greenlet's life.
func (l *Local[T]) Ptr(g *Greenlet) *T {
	c := l.find(g)
	if c == nil {
		c = &cell[T]{of: l}
		if g.state != dead {
			m := g.extras()
			m.locals = append(m.locals, local{l, c})
		}
	}
	return &c.v
}

// Set gives g a value. It does nothing once g is over.
func (l *Local[T]) Set(g *Greenlet, v T) { *l.Ptr(g) = v }

// Delete takes g's value away.
func (l *Local[T]) Delete(g *Greenlet) {
	if g.more == nil {
		return
	}
	all := g.more.locals
	for i, e := range all {
		if e.of == any(l) {
			all[i] = all[len(all)-1]
			all[len(all)-1] = local{}
			g.more.locals = all[:len(all)-1]
			return
		}
	}
}

// inherit gives a new greenlet what its parent's locals leave it.
func (g *Greenlet) inherit(locals []local) {
	for _, e := range locals {
		if h := e.cell.heir(); h != nil {
			m := g.extras()
			m.locals = append(m.locals, local{e.of, h})
		}
	}
}
