"""Pushes growing numbers into three rooms, retained, until it is stopped. Arguments: the endpoint."""
import json, sys, time, zmq

s = zmq.Context().socket(zmq.PUSH)
s.linger = 0
s.sndhwm = 100
s.connect(sys.argv[1])
n = 0
while True:
    n += 1
    for room in ("prices.a", "prices.b", "prices.c"):
        s.send_json({"room": room, "event": "price", "args": [n], "retain": True})
    time.sleep(0.002)
