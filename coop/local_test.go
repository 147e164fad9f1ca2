package coop_test

import (
	"testing"

	"greenroom/coop"
)

// #39
func TestLocalIsEachGreenletsOwn(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var name coop.Local[string]
		var count coop.Local[int]
		if v, ok := name.Get(g); v != "" || ok {
			t.Errorf("unset: %q, %v", v, ok)
		}
		worker := func(mine string) *coop.Greenlet {
			return g.Spawn(func(g *coop.Greenlet) error {
				name.Set(g, mine)
				for range 3 {
					*count.Ptr(g)++
					if err := g.Yield(); err != nil {
						return err
					}
				}
				if v, ok := name.Get(g); v != mine || !ok {
					t.Errorf("%s has %q, %v", mine, v, ok)
				}
				if v, _ := count.Get(g); v != 3 {
					t.Errorf("%s counted %d", mine, v)
				}
				return nil
			})
		}
		a, b := worker("a"), worker("b")
		g.Yield()
		if v, _ := name.Get(a); v != "a" {
			t.Errorf("seen from outside: %q", v)
		}
		if err := coop.JoinAll(g, a, b); err != nil {
			return err
		}
		// Gone with the greenlet.
		if v, ok := name.Get(a); v != "" || ok || a.Locals() != 0 {
			t.Errorf("after the end: %q, %v, %d kept", v, ok, a.Locals())
		}
		name.Set(a, "ghost")
		if a.Locals() != 0 {
			t.Error("set on the dead")
		}
		if _, ok := name.Get(g); ok {
			t.Error("leaked into another")
		}
		return nil
	})
}

func TestLocalDelete(t *testing.T) {
	run(t, func(g *coop.Greenlet) error {
		var ls [3]coop.Local[int]
		ls[0].Delete(g)
		for i := range ls {
			ls[i].Set(g, i)
		}
		ls[0].Delete(g)
		ls[0].Delete(g)
		for i := range ls {
			if v, ok := ls[i].Get(g); ok != (i > 0) || v != i {
				t.Errorf("%d: %d, %v", i, v, ok)
			}
		}
		return nil
	})
}

// #31: tree locals. A child begins with a copy; afterwards each has its own.
func TestLocalInherited(t *testing.T) {
	tenant := coop.Local[string]{Inherit: true}
	var private coop.Local[string]
	run(t, func(g *coop.Greenlet) error {
		tenant.Set(g, "a")
		private.Set(g, "mine")
		child := g.Spawn(func(g *coop.Greenlet) error {
			if v, ok := tenant.Get(g); v != "a" || !ok {
				t.Errorf("child has %q, %v", v, ok)
			}
			if _, ok := private.Get(g); ok {
				t.Error("inherited what is not to be")
			}
			grandchild := g.SpawnLater(1, func(g *coop.Greenlet) error {
				if v, _ := tenant.Get(g); v != "a" {
					t.Errorf("grandchild has %q", v)
				}
				return nil
			})
			tenant.Set(g, "b")
			return grandchild.Join(g)
		})
		tenant.Set(g, "c") // after the spawn
		if err := child.Join(g); err != nil {
			return err
		}
		if v, _ := tenant.Get(g); v != "c" {
			t.Errorf("parent has %q", v)
		}
		return nil
	})
}
