"""argv[1] is PUSH, PUB or SUB, argv[2] the endpoint to connect to, which may go away and come back.
PUSH and PUB send a numbered message every 2 ms until SIGTERM; SUB prints the beginning of what it hears
in "room" and does what it hears in "ctl"."""
import signal
import sys
import zmq

kind, endpoint = sys.argv[1], sys.argv[2]
s = zmq.Context.instance().socket(getattr(zmq, kind))
s.setsockopt(zmq.RECONNECT_IVL, 20)
s.setsockopt(zmq.LINGER, 0)
s.connect(endpoint)
if kind == "SUB":
    s.subscribe(b"ctl")
    s.subscribe(b"room")
    s.subscribe(b"room")
    while True:
        frames = s.recv_multipart()
        if frames[0] != b"ctl":
            print(b"|".join(frames).decode()[:80], flush=True)
        elif frames[1] == b"unsubscribe":
            s.unsubscribe(b"room")
        else:
            break
else:
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    i = 0
    while True:
        told = signal.sigtimedwait({signal.SIGTERM}, 0.002)
        if told and told.si_signo == signal.SIGTERM:  # CPython returns rubbish after a pause of the whole process
            break
        try:
            s.send_multipart([b"room", str(i).encode()], zmq.DONTWAIT)
        except zmq.Again:  # nobody is there and the queue is full
            continue
        i += 1
s.close()
zmq.Context.instance().term()
