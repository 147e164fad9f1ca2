//go:build unix

package redis

import (
	"testing"

	"greenroom/hub"
)

// What a message costs on its way to and from Redis, beside the connection itself. [BenchmarkMessage] is the same for the
// sharded adapter, [BenchmarkReplies] the reading of the connection.
func BenchmarkClassicMessage(b *testing.B) {
	sp := &space{name: "/", uid: "0b8b61"}
	r := &hub.NodeRequest{
		Op: hub.OpEmit, Namespace: "/", Rooms: []string{"prices:EUR"},
		Payload: hub.Payload{JSON: []byte(`["price",{"symbol":"EUR","bid":1.0832,"ask":1.0834,"at":1795520188129}]`)},
	}
	body, err := sp.appendBroadcast(r)
	if err != nil {
		b.Fatal(err)
	}
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := sp.appendBroadcast(r); err != nil {
				b.Fatal(err)
			}
		}
	})
	for name, reader := range map[string]*space{"read": {name: "/", uid: "another"}, "own": sp} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if got, err := reader.readBroadcast("prices:EUR", body); err != nil || (got == nil) != (reader == sp) {
					b.Fatal(got, err)
				}
			}
		})
	}
}
