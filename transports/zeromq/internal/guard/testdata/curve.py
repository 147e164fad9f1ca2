"""A DEALER that echoes, or sends and expects the echo, under a mechanism; heartbeats all the while.

    curve.py connect|bind echo|ask ENDPOINT curve SERVER_PUBLIC|SECRET [CLIENT_SECRET]
    curve.py connect|bind echo|ask ENDPOINT plain USER PASSWORD
"""
import hashlib
import signal
import sys
import zmq
import zmq.auth

how, role, endpoint, mechanism, *keys = sys.argv[1:]
s = zmq.Context.instance().socket(zmq.DEALER)
s.setsockopt(zmq.HEARTBEAT_IVL, 20)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60000)
s.setsockopt(zmq.LINGER, 10000)
if mechanism == "curve":
    secret = keys[-1].encode()
    s.curve_secretkey, s.curve_publickey = secret, zmq.curve_public(secret)
    if how == "bind":
        s.curve_server = True
    else:
        s.curve_serverkey = keys[0].encode()
elif mechanism == "plain":
    s.plain_username, s.plain_password = keys[0].encode(), keys[1].encode()
if how == "bind":
    s.bind(endpoint)
    print("bound", s.last_endpoint.decode(), flush=True)
else:
    s.connect(endpoint)

messages = [[b"one"], [b"a", b"", b"c"], [b""], [b"x" * (1 << 20)], [b"y" * n for n in (222, 223, 254, 255, 256)]]
if role == "ask":
    for m in messages:
        s.send_multipart(m)
    for m in messages:
        got = s.recv_multipart()
        assert got == m, [len(f) for f in got]
    # long enough for heartbeats to be exchanged both ways
    if s.poll(300):
        raise SystemExit("unexpected message")
    s.send(b"end")
    assert s.recv() == b"end"
    print("done", flush=True)
else:
    while True:
        got = s.recv_multipart()
        s.send_multipart(got)
        if got == [b"end"]:
            break
    print("done", flush=True)
s.close()
zmq.Context.instance().term()
