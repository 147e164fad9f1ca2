"""Round trips of a REQ to the control endpoint, and to a REP and a ROUTER of libzmq's in another process, in turns.

Arguments: the endpoint, how many. Prints the medians in microseconds, as JSON.
"""
import json, statistics, subprocess, sys, time, zmq

SERVER = """
import sys, zmq
s = zmq.Context().socket(zmq.REP if sys.argv[1] == "rep" else zmq.ROUTER)
port = s.bind_to_random_port("tcp://127.0.0.1")
print(port, flush=True)
answer = b'{"id":1,"ok":true,"result":{"node":"host#1","at":1764000000000}}'
while True:
    if sys.argv[1] == "rep":
        s.recv(); s.send(answer)
    else:
        s.send_multipart(s.recv_multipart()[:2] + [answer])
"""

endpoint, n = sys.argv[1], int(sys.argv[2])
ctx = zmq.Context()
servers = [subprocess.Popen([sys.executable, "-c", SERVER, kind], stdout=subprocess.PIPE, text=True) for kind in ("rep", "router")]
ports = [int(p.stdout.readline()) for p in servers]

def req(to):
    s = ctx.socket(zmq.REQ)
    s.connect(to)
    return s

control = req(endpoint)
peers = {
    "ping": (control, b'{"id":1,"method":"ping"}'),
    "publish": (control, b'{"id":1,"method":"publish","params":{"room":"lobby","event":"say","args":["hello"]}}'),
    "libzmq_rep": (req(f"tcp://127.0.0.1:{ports[0]}"), b'{"id":1,"method":"ping"}'),
    "libzmq_router": (req(f"tcp://127.0.0.1:{ports[1]}"), b'{"id":1,"method":"ping"}'),
}
times = {name: [] for name in peers}
for _ in range(10):
    for name, (s, request) in peers.items():
        for _ in range(n // 10):
            t = time.perf_counter()
            s.send(request)
            s.recv()
            times[name].append(time.perf_counter() - t)
for p in servers:
    p.kill()
print(json.dumps({name: round(1e6 * statistics.median(t), 1) for name, t in times.items()}))
