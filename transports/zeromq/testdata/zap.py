"""A ZAP handler at a free port: lets in the user and key that argv names, as user "zed" who may publish into lobby
only; answers 300 to user "later", nothing to user "silence", nonsense to user "nonsense", else 400."""
import struct
import sys
import zmq

user, key = sys.argv[1].encode(), bytes.fromhex(sys.argv[2])
s = zmq.Context.instance().socket(zmq.ROUTER)
s.bind("tcp://127.0.0.1:*")
print("bound", s.last_endpoint.decode(), flush=True)


def prop(name, value):
    return bytes([len(name)]) + name + struct.pack(">I", len(value)) + value


while True:
    peer, empty, version, rid, domain, address, identity, mechanism, *credentials = s.recv_multipart()
    assert empty == b"" and version == b"1.0", (empty, version)
    print("asked", domain.decode(), address.decode(), mechanism.decode(), len(credentials), flush=True)
    status, text, who, meta = b"400", b"who?", b"", b""
    if mechanism == b"CURVE" and credentials == [key] or mechanism == b"PLAIN" and credentials[0] == user:
        status, text, who, meta = b"200", b"OK", b"zed", prop(b"X-Publish", b"lobby")
    elif mechanism == b"PLAIN" and credentials[0] == b"later":
        status = b"300"
    elif mechanism == b"PLAIN" and credentials[0] == b"silence":
        continue
    elif mechanism == b"PLAIN" and credentials[0] == b"nonsense":
        s.send_multipart([peer, b"", b"1.0", b"other", b"200", b"", b"root", b""])
        continue
    s.send_multipart([peer, b"", version, rid, status, text, who, meta])
