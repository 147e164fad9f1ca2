"""Asks one node of a cluster for what is on both, and subscribes at both to what they have retained and what comes."""
import json, sys, zmq

control, pub, pull, feeds, other, otherpub, otherpull, otherfeeds = sys.argv[1:]
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
# What is pushed at one node, or published by a socket that has connected to both, comes to the subscribers of each once.
subs, pushes = [], []
for at in (pub, otherpub):
    s = ctx.socket(zmq.SUB)
    s.subscribe(b"p.")
    s.connect(at)
    subs.append(s)
    got = []
    for _ in range(2):
        assert s.poll(20000)
        got.append(s.recv_multipart()[2].decode())
    print(*got, flush=True)
for at in (pull, otherpull):
    p = ctx.socket(zmq.PUSH)
    p.connect(at)
    pushes.append(p)
feed = ctx.socket(zmq.XPUB)
feed.setsockopt(zmq.XPUB_VERBOSE, 1)  # tells each subscription, also one that it has from another
for at in (feeds, otherfeeds):
    feed.connect(at)
for _ in range(2):
    assert feed.poll(20000) and feed.recv() == b"\x01"

def hear(s, until):
    """The texts that s hears until it has heard those."""
    heard, until = [], set(until)
    while until:
        assert s.poll(20000), until
        heard.append(s.recv_multipart()[2].decode())
        until.discard(heard[-1])
    return heard

def everywhere(text):
    """Has text come to both subscribers from both nodes, and returns what they had heard before it."""
    for i, p in enumerate(pushes):
        p.send_multipart([b"p.fan", f"{text} {i}".encode()])
    return [[h for h in hear(s, [f"{text} 0", f"{text} 1"]) if not h.startswith(text)] for s in subs]

known = [set(), set()]
tries = 0
while any(len(k) < 2 for k in known):  # a new subscription is known to the other node a moment later
    for i, p in enumerate(pushes):
        p.send_multipart([b"p.fan", f"try {i} {tries}".encode()])
    tries += 1
    for k, s in zip(known, subs):
        while s.poll(20):
            k.add(s.recv_multipart()[2].decode().split()[1])
everywhere("begin")
pushes[0].send_multipart([b"p.fan", b"pushed"])
feed.send_multipart([b"p.fan", b"published"])
for s in subs:
    print(*sorted(hear(s, ["pushed", "published"])), flush=True)
print("and", everywhere("end"), flush=True)
