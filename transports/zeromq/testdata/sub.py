"""SUB or XSUB (argv[2]) at argv[1]: subscribes to "room", prints what it hears
until the event "end". It must not have been disconnected meanwhile."""
import sys
import zmq
from zmq.utils.monitor import recv_monitor_message

s = zmq.Context.instance().socket(getattr(zmq, sys.argv[2]))
s.setsockopt(zmq.RCVHWM, 0)
s.setsockopt(zmq.HEARTBEAT_IVL, 20)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 5000)
monitor = s.get_monitor_socket(zmq.EVENT_DISCONNECTED | zmq.EVENT_MONITOR_STOPPED)
s.connect(sys.argv[1])
if sys.argv[2] == "SUB":
    s.subscribe(b"room")
    s.subscribe(b"unused")
    s.unsubscribe(b"unused")
else:
    s.send(b"\x01room")
lost = 0
while True:
    frames = s.recv_multipart()
    if frames[1] == b"end":
        break
    print(b"|".join(frames).decode("utf-8", "backslashreplace"), flush=True)
while monitor.poll(0):
    recv_monitor_message(monitor)
    lost += 1
s.disable_monitor()
monitor.close(linger=0)
print("disconnects:", lost, flush=True)
s.close(linger=0)
zmq.Context.instance().term()
