"""A service for sessions: service.py ENDPOINT. It prints where it is bound."""
import sys
import zmq

s = zmq.Context().socket(zmq.REP)
s.bind(sys.argv[1])
print("bound", s.getsockopt_string(zmq.LAST_ENDPOINT), flush=True)
prices = {b"tea": b"3.20", b"coffee": b"2.80"}
while True:
    s.send(prices.get(s.recv(), b"sold out"))
