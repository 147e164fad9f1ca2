"""PUSH to argv[1]: argv[2] numbered messages of every shape, with heartbeats;
ends at SIGTERM."""
import signal
import sys
import zmq

# A socket closed with PONGs unread resets its connection, and what it has sent is lost with it: that
# is how TCP works. So this closes only when it is told that everything has arrived.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

s = zmq.Context.instance().socket(zmq.PUSH)
s.setsockopt(zmq.HEARTBEAT_IVL, 20)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60000)
s.connect(sys.argv[1])
s.send_multipart([b"lobby", b'{"eur": 4.2}'])
s.send_multipart([b"lobby", b"price", b"42"])
s.send_multipart([b"lobby", b"image", b"\x00\xff", b"png"])
s.send(b'{"room": ["a", "b"], "event": "both", "args": [1, null]}')
s.send_multipart([b"lobby", b"big", b"x" * 300000])
for i in range(int(sys.argv[2])):
    s.send_multipart([b"count", b"n", str(i).encode()])
signal.sigwait({signal.SIGTERM})
s.close(linger=20000)
zmq.Context.instance().term()
