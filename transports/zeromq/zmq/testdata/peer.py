"""A libzmq peer: peer.py TYPE WHAT HOW ENDPOINT [IDENTITY]

WHAT: recv all messages once, send them once (a PUB again and again), echo what comes, or ask and compare the answers.
HOW: bind or connect.
PEER_CURVE in the environment has it use CURVE: its secret key and its public one, and as a client also the server's.
"""
import os
import signal
import sys
import zmq

kind, what, how, endpoint = sys.argv[1:5]
ctx = zmq.Context()
s = ctx.socket(getattr(zmq, kind))
if len(sys.argv) > 5:
    s.identity = sys.argv[5].encode()
if keys := os.environ.get("PEER_CURVE", ""):
    s.curve_secretkey, s.curve_publickey = keys[:40].encode(), keys[40:80].encode()
    if keys[80:]:
        s.curve_serverkey = keys[80:].encode()
    else:
        s.curve_server = True
if kind == "SUB":
    s.subscribe(b"")
if how == "bind":
    s.bind(endpoint)
    print("bound", s.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
else:
    s.connect(endpoint)
    print("connected", flush=True)
if kind == "XSUB":
    s.send(b"\x01")

messages = [[b"one"], [b"a", b"", b"c"], [b"x" * (1 << 20)]]
if what == "recv":
    seen = []
    while len(seen) < len(messages):
        m = s.recv_multipart()
        assert m in messages, [f[:20] for f in m]
        if m not in seen:
            seen.append(m)
    print("all there", flush=True)
elif what == "send":
    if kind in ("PUB", "XPUB"):
        while True:
            for m in messages:
                s.send_multipart(m)
            s.poll(20)
    for m in messages:
        s.send_multipart(m)
    print("all sent", flush=True)
elif what == "echo":
    while True:
        s.send_multipart(s.recv_multipart())
elif what == "ask":
    head = [b""] if kind == "DEALER" and len(sys.argv) > 5 and sys.argv[5] == "REP" else []
    for m in messages:
        s.send_multipart(head + m)
        got = s.recv_multipart()
        assert got == head + m, [f[:20] for f in got]
    print("all answered", flush=True)
signal.pause()
