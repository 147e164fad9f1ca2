"""PUB that connects to argv[1], waits until it is subscribed to, and publishes argv[2] numbered messages;
ends at SIGTERM."""
import signal
import sys
import zmq

# A socket closed with PONGs unread resets its connection, and what it has sent is lost with it: that
# is how TCP works. So this closes only when it is told that everything has arrived.
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})

s = zmq.Context.instance().socket(zmq.XPUB)
s.setsockopt(zmq.SNDHWM, 0)
s.setsockopt(zmq.HEARTBEAT_IVL, 20)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60000)
s.connect(sys.argv[1])
assert s.recv() == b"\x01"
for i in range(int(sys.argv[2])):
    s.send_multipart([b"feed", b"n", str(i).encode()])
signal.sigwait({signal.SIGTERM})
s.close(linger=20000)
zmq.Context.instance().term()
