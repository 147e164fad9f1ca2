"""Connects a socket of a type that the endpoint refuses and prints what its monitor says."""
import sys
import zmq
from zmq.utils.monitor import recv_monitor_message

endpoint, socket_type = sys.argv[1:]
names = {getattr(zmq, n): n for n in dir(zmq) if n.startswith("EVENT_")}
socket = zmq.Context().socket(getattr(zmq, socket_type))
socket.setsockopt(zmq.LINGER, 0)
socket.setsockopt(zmq.RECONNECT_IVL, 10)
monitor = socket.get_monitor_socket()
socket.connect(endpoint)
while monitor.poll(60_000):
    event = names[recv_monitor_message(monitor)["event"]]
    print(event, flush=True)
    if event == "EVENT_DISCONNECTED":
        break
while monitor.poll(1000):  # a hundred times the time after which it would try again
    print(names[recv_monitor_message(monitor)["event"]], flush=True)
