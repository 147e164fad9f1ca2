"""PULL at a port it prints: to each request at the REP socket, whose port it prints as well, it answers what the PULL
has received since the last one, each message as "m" and hexadecimal frames joined by commas."""
import zmq

ctx = zmq.Context.instance()
pull, rep = ctx.socket(zmq.PULL), ctx.socket(zmq.REP)
pull.setsockopt(zmq.RCVHWM, 0)
pull.setsockopt(zmq.MAXMSGSIZE, 1 << 20)
for s in pull, rep:
    s.bind("tcp://127.0.0.1:*")
print(pull.LAST_ENDPOINT.decode(), rep.LAST_ENDPOINT.decode(), "ready", flush=True)
while True:
    rep.recv()
    got = []
    while True:
        try:
            got.append("m" + ",".join(f.hex() for f in pull.recv_multipart(zmq.NOBLOCK)))
        except zmq.Again:
            break
    rep.send(" ".join(got).encode())
