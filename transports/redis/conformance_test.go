//go:build unix

package redis

import (
	"testing"

	"greenroom/hub"
	"greenroom/hub/adaptertest"
	"greenroom/internal/testenv"
)

// TestAdaptersKeepTheContract holds each adapter to what hubs rely on.
func TestAdaptersKeepTheContract(t *testing.T) {
	for name, options := range map[string]Options{
		"classic": {Adapter: Classic}, "streams": {Adapter: Streams},
		"static": {Adapter: Sharded, Mode: Static}, "dynamic": {Adapter: Sharded}, "dynamic-private": {Adapter: Sharded, Mode: DynamicPrivate},
	} {
		t.Run(name, func(t *testing.T) {
			r := testenv.StartRedis(t)
			adaptertest.Run(t, func(t *testing.T) adaptertest.Cluster {
				o := options
				o.URL, o.Prefix = r.URL(), t.Name() // a cluster for each test
				return adaptertest.Cluster{
					Adapter: func() hub.Adapter {
						a, err := New(o)
						if err != nil {
							t.Fatal(err)
						}
						return a
					},
					Ready:   func(a hub.Adapter) bool { return ready(a) },
					Unnamed: true,
				}
			})
		})
	}
}

// ready is Adapter.Ready, also of one that is wrapped.
func ready(a hub.Adapter) bool {
	r, ok := a.(interface{ Ready() error })
	return ok && r.Ready() == nil
}
