"""A PUSH or SUB under a mechanism.

    secure.py push|sub ENDPOINT curve SERVER_KEY_FILE SECRET_KEY_FILE
    secure.py push|sub ENDPOINT plain USER PASSWORD
    secure.py push|sub ENDPOINT null

push sends [lobby, hello] and [secret, hello] and ends at SIGTERM; sub subscribes to everything and prints what it
hears. Either prints "refused CODE" when the server refuses it with an ERROR, and ends then."""
import signal
import sys
import threading
import zmq
import zmq.auth
from zmq.utils.monitor import recv_monitor_message

role, endpoint, mechanism, *args = sys.argv[1:]
context = zmq.Context.instance()
s = context.socket(zmq.PUSH if role == "push" else zmq.SUB)
s.setsockopt(zmq.HEARTBEAT_IVL, 20)
s.setsockopt(zmq.HEARTBEAT_TIMEOUT, 60000)
s.setsockopt(zmq.LINGER, 0)
s.setsockopt(zmq.IPV6, 1)
if mechanism == "curve":
    s.curve_serverkey, _ = zmq.auth.load_certificate(args[0])
    s.curve_publickey, s.curve_secretkey = zmq.auth.load_certificate(args[1])
elif mechanism == "plain":
    s.plain_username, s.plain_password = args[0].encode(), args[1].encode()
monitor = s.get_monitor_socket(zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_DISCONNECTED)
s.connect(endpoint)
if role == "push":
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
    s.send_multipart([b"lobby", b"hello"])
    s.send_multipart([b"secret", b"hello"])
    threading.Thread(target=lambda: (signal.sigwait({signal.SIGTERM}), sys.stdout.flush(), __import__("os")._exit(0)), daemon=True).start()
else:
    s.subscribe(b"")
poller = zmq.Poller()
poller.register(monitor, zmq.POLLIN)
if role == "sub":
    poller.register(s, zmq.POLLIN)
while True:
    ready = dict(poller.poll())
    if monitor in ready:
        event = recv_monitor_message(monitor)
        if event["event"] == zmq.EVENT_HANDSHAKE_FAILED_AUTH:
            print("refused", event["value"], flush=True)
            break
        if event["event"] == zmq.EVENT_HANDSHAKE_SUCCEEDED:
            print("let in", flush=True)
        if event["event"] == zmq.EVENT_DISCONNECTED:
            print("disconnected", flush=True)
    if s in ready:
        print(b"|".join(s.recv_multipart()[:3]).decode(), flush=True)
