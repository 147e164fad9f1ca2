"""libzmq peers: peer.py TYPE WHAT HOW ENDPOINT [IDENTITY [SECURITY]] is one; without arguments, any number of them.

WHAT: recv all messages once, send them once (a PUB again and again), echo what comes, or ask and compare the answers.
HOW: bind or connect.
SECURITY: "curve", the own secret key and the public one, and as a client also the server's; "plain" and, as a client, user
and password. A server of PLAIN lets ann in, whose password is tea.

Without arguments each line of the input is an array in JSON: the name of a peer and its arguments, or a name alone, which
ends it. What peers say stands behind their names.
"""
import json
import sys
import threading
import zmq
from zmq.auth.thread import ThreadAuthenticator

MESSAGES = [[b"one"], [b"a", b"", b"c"], [b"x" * (1 << 20)]]


class Peer:
    def __init__(self, say, kind, what, how, endpoint, identity="", *security):
        self.say, self.kind, self.what, self.how, self.endpoint = say, kind, what, how, endpoint
        self.identity, self.security = identity, [s.encode() for s in security]
        self.ctx, self.auth = zmq.Context(), None

    def secure(self, s):
        mechanism, *words = self.security or [b""]
        if mechanism == b"curve":
            s.curve_secretkey, s.curve_publickey = words[:2]
            if words[2:]:
                s.curve_serverkey = words[2]
            else:
                s.curve_server = True
        elif mechanism == b"plain" and words:
            s.plain_username, s.plain_password = words
        elif mechanism == b"plain":
            self.auth = ThreadAuthenticator(self.ctx)
            self.auth.start()
            self.auth.configure_plain(passwords={"ann": "tea"})
            s.plain_server = True

    def run(self):
        s = self.ctx.socket(getattr(zmq, self.kind))
        s.linger = 0
        try:
            self.talk(s)
            s.poll(flags=zmq.POLLERR)  # until the context ends
        except zmq.ContextTerminated:
            pass
        except Exception as e:
            self.say(repr(e))
        finally:
            s.close()

    def talk(self, s):
        kind, what = self.kind, self.what
        if self.identity and self.identity != "REP":
            s.identity = self.identity.encode()
        self.secure(s)
        if kind == "SUB":
            s.subscribe(b"")
        if self.how == "bind":
            s.bind(self.endpoint)
            self.say("bound " + s.getsockopt_string(zmq.LAST_ENDPOINT))
        else:
            s.connect(self.endpoint)
            self.say("connected")
        if kind == "XSUB":
            s.send(b"\x01")
        if what == "recv":
            seen = []
            while len(seen) < len(MESSAGES):
                m = s.recv_multipart()
                assert m in MESSAGES, [f[:20] for f in m]
                if m not in seen:
                    seen.append(m)
            self.say("all there")
        elif what == "send":
            while True:
                for m in MESSAGES:
                    s.send_multipart(m)
                if kind not in ("PUB", "XPUB"):
                    break
                s.poll(20)
            self.say("all sent")
        elif what == "echo":
            while True:
                s.send_multipart(s.recv_multipart())
        elif what == "ask":
            head = [b""] if kind == "DEALER" and self.identity == "REP" else []
            for m in MESSAGES:
                s.send_multipart(head + m)
                got = s.recv_multipart()
                assert got == head + m, [f[:20] for f in got]
            self.say("all answered")

    def end(self):
        if self.auth:
            self.auth.stop()
        self.ctx.term()  # wakes who waits in run, which closes its socket
        self.say("ended")


def sayer(name):
    return lambda text: (sys.stdout.write(f"#{name} {text}\n"), sys.stdout.flush())


if len(sys.argv) > 1:
    Peer(lambda text: print(text, flush=True), *sys.argv[1:]).run()

peers = {}
for line in sys.stdin:
    name, *args = json.loads(line)
    if args:
        peers[name] = Peer(sayer(name), *args)
        threading.Thread(target=peers[name].run, daemon=True).start()
    else:
        threading.Thread(target=peers.pop(name).end, daemon=True).start()
