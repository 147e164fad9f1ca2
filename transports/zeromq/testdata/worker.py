"""A worker that answers all events at once. Arguments: the endpoint."""
import sys, zmq

s = zmq.Context().socket(zmq.DEALER)
s.connect(sys.argv[1])
s.send_multipart([b"READY", b'{"version":1,"events":["*"],"credit":1000,"heartbeat":0}'])
while True:
    frames = s.recv_multipart()
    if frames[0] == b"EVENT":
        s.send_multipart([b"ACK", frames[1], b'["heard"]'])
