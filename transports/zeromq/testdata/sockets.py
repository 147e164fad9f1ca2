"""Binds a socket of the type argv[1] at a free port, prints where, and uses it until it is ended. argv[2]: its mechanism."""
import sys
import time
import zmq

s = zmq.Context.instance().socket(getattr(zmq, sys.argv[1]))
s.setsockopt(zmq.LINGER, 0)
if "PLAIN" in sys.argv[2:]:
    s.plain_server = True
if "CURVE" in sys.argv[2:]:
    s.curve_server = True
    s.curve_publickey, s.curve_secretkey = zmq.curve_keypair()
if sys.argv[1] == "SUB":
    s.subscribe(b"tick")
s.bind("tcp://127.0.0.1:*")
print(s.last_endpoint.decode(), flush=True)
while True:
    if sys.argv[1] == "PUB":
        s.send_multipart([b"tick", b"1"])
        time.sleep(0.02)
    else:
        s.poll(1000)
        time.sleep(0.02)
