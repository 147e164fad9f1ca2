"""argv[1] SUB sockets that connect to argv[2], subscribed to the topics argv[3:] and to "ctl". Each must hear "room" with
the numbers 0, 1, 2 and so on; what it hears instead is printed, and at the end, when each has heard something in "ctl",
how many heard how much. A first topic "small" stands for small system buffers."""
import sys
import zmq

count, endpoint, topics = int(sys.argv[1]), sys.argv[2], sys.argv[3:]
context = zmq.Context()
sockets, heard, poller = [], {}, zmq.Poller()
for _ in range(count):
    s = context.socket(zmq.SUB)
    s.setsockopt(zmq.RCVHWM, 0)
    s.setsockopt(zmq.LINGER, 0)
    if topics[0] == "small":
        s.setsockopt(zmq.RCVBUF, 16384)
    for topic in topics + ["ctl"]:
        if topic != "small":
            s.subscribe(topic)
    s.connect(endpoint)
    heard[s] = 0
    poller.register(s, zmq.POLLIN)
    sockets.append(s)
open_ = set(sockets)
while open_:
    for s, _ in poller.poll():
        frames = s.recv_multipart()
        if frames[0] == b"ctl":
            open_.discard(s)
            poller.unregister(s)
        elif int(frames[2]) != heard[s]:
            print("socket", sockets.index(s), "heard", frames[2].decode(), "in place of", heard[s], flush=True)
            sys.exit(1)
        else:
            heard[s] += 1
for n in sorted(set(heard.values())):
    print(list(heard.values()).count(n), "heard", n, flush=True)
context.destroy(linger=0)
