//go:build unix

package redis

import (
	"reflect"
	"testing"

	"greenroom/hub"
)

// What a node adds to the stream is what the others read there, for everything that has a place in it.
func TestStreamEntryOfEachKind(t *testing.T) {
	for name, r := range map[string]hub.NodeRequest{
		"emit":       {Op: hub.OpEmit, Rooms: []string{"a"}, Except: []string{"b"}, Payload: hub.Payload{JSON: []byte(`["e",1]`)}},
		"published":  {Op: hub.OpEmit, Rooms: []string{"a"}, Published: true, Payload: hub.Payload{JSON: []byte(`["e",1,{}]`)}},
		"volatile":   {Op: hub.OpEmit, Volatile: true, NoCompress: true, Payload: hub.Payload{JSON: []byte(`["e"]`)}},
		"binary":     {Op: hub.OpEmit, Payload: hub.Payload{JSON: []byte(`["e",{"_placeholder":true,"num":0}]`), Attachments: [][]byte{{1, 2}}}},
		"join":       {Op: hub.OpJoin, Rooms: []string{"a"}, Room: "c"},
		"leave":      {Op: hub.OpLeave, Room: "c"},
		"disconnect": {Op: hub.OpDisconnect, Rooms: []string{"a"}, CloseConn: true, Reason: nodeDisconnect},
		"kicked":     {Op: hub.OpDisconnect, Rooms: []string{"a"}, Reason: "too slow"},
		"replaced":   {Op: hub.OpReplaced, Room: "secret-of-the-client", Reason: "token"},
	} {
		t.Run(name, func(t *testing.T) {
			r.Namespace = "/"
			m := messageOf(&r)
			data, err := m.appendData(nil)
			if err != nil {
				t.Fatal(err)
			}
			x := streamEntry{uid: "0123456789abcdef", nsp: "/", kind: m.kind, data: string(data)}
			got, bad := x.requests()
			if bad != nil || len(got) != 1 {
				t.Fatalf("%s: %d requests, %v", data, len(got), bad)
			}
			for _, q := range []*hub.NodeRequest{got[0], &r} { // none, or an empty list
				if len(q.Rooms) == 0 {
					q.Rooms = nil
				}
				if len(q.Except) == 0 {
					q.Except = nil
				}
			}
			if !reflect.DeepEqual(*got[0], r) {
				t.Errorf("%s\nis read as %+v\nwant       %+v", data, *got[0], r)
			}
		})
	}
}
