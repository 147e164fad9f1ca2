"""XPUB that binds argv[1] and publishes numbered messages to the topics argv[2:], all the time, until it is killed.
It prints what its subscribers send it: +topic and -topic, also what it has been told before. With CURVE_KEY, a secret
certificate, it is a CURVE server; with PLAIN_USER, "user password", a PLAIN server that lets in that one."""
import os
import sys
import zmq
import zmq.auth
from zmq.auth.thread import ThreadAuthenticator

s = zmq.Context.instance().socket(zmq.XPUB)
s.setsockopt(zmq.XPUB_VERBOSER, 1)
if key := os.environ.get("CURVE_KEY"):
    s.curve_server = True
    _, s.curve_secretkey = zmq.auth.load_certificate(key)
if user := os.environ.get("PLAIN_USER"):
    auth = ThreadAuthenticator(s.context)
    auth.start()
    auth.configure_plain(passwords=dict([user.split()]))
    s.plain_server = True
s.bind(sys.argv[1])
print("bound", flush=True)
n = 0
while True:
    while s.poll(5):
        m = s.recv()
        print("+-"[m[0] == 0] + m[1:].decode(), flush=True)
    for topic in sys.argv[2:]:
        if " " in topic:
            s.send((topic + str(n)).encode())
        else:
            s.send_multipart([topic.encode(), str(n).encode()])
    n += 1
