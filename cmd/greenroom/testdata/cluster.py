"""Asks one node of a cluster for what is on both, and subscribes to what both have retained."""
import json, sys, zmq

control, pub, other = sys.argv[1:]
ctx = zmq.Context()

def ask(at, method, **params):
    with ctx.socket(zmq.REQ) as s:
        s.linger = 0
        s.connect(at)
        s.send_json({"id": 1, "method": method, "params": params})
        assert s.poll(20000), method
        answer = s.recv_json()
        assert answer["ok"], answer
        return answer["result"]

for room in ("p.b", "p.a"):
    ask(other, "publish", room=room, event="e", args=[room], retain=True)
rooms = ask(control, "rooms", prefix="lob")
members = ask(control, "members", room="lobby")
who = [s["id"] for s in members["sessions"]]
def there(room):
    return sorted(s["id"] for s in ask(control, "members", room=room)["sessions"])
moved = []
for s in who:
    moved += [ask(control, "join", session=s, room="side"), s in there("side"), ask(control, "leave", session=s, room="side"), s in there("side")]
kicked = [ask(control, "kick", session=s, close=True) for s in who]
print(json.dumps({
    "rooms": rooms["rooms"], "nodes": [rooms["nodes"], members["nodes"]], "on": sorted(s["node"] for s in members["sessions"]),
    "moved": moved, "kicked": kicked, "left": ask(control, "members", room="lobby")["sessions"],
    "snapshot": [r["room"] for r in ask(control, "snapshot", prefix="p.")["rooms"]],
}), flush=True)
s = ctx.socket(zmq.SUB)
s.subscribe(b"p.")
s.connect(pub)
for _ in range(2):
    assert s.poll(20000)
    print(s.recv_multipart()[2].decode(), flush=True)
