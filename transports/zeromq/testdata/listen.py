"""SUB at argv[1] with the topics argv[2:] and "ctl", subscribed before it connects: prints the beginning of what it
hears until something comes in the room "ctl"."""
import sys
import zmq

s = zmq.Context.instance().socket(zmq.SUB)
s.setsockopt(zmq.RCVHWM, 0)
s.subscribe(b"ctl")
for topic in sys.argv[2:]:
    s.subscribe(topic)
s.connect(sys.argv[1])
while True:
    frames = s.recv_multipart()
    if frames[0] == b"ctl":
        break
    print(b"|".join(f[:200] for f in frames).decode("utf-8", "backslashreplace"), flush=True)
s.close(linger=0)
zmq.Context.instance().term()
