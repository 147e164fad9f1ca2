"""python-socketio's clients at the server of clients_app_test.go, or at server.mjs: the one with threads, and the one of
asyncio. $SERVERS has the servers' addresses as JSON; $TRANSPORT is websocket, polling or upgrade."""

import asyncio
import json
import os
import queue
import unittest

import engineio.payload
import socketio

URL = json.loads(os.environ["SERVERS"])["plain"]
TRANSPORTS = {"websocket": ["websocket"], "polling": ["polling"], "upgrade": None}[os.environ["TRANSPORT"]]
LAST = "polling" if os.environ["TRANSPORT"] == "polling" else "websocket"
engineio.payload.Payload.max_decode_packets = 1000  # in the answer to a poll; servers do not know of the default, 16
WITHIN = 30  # seconds, for any wait

KINDS = [
    (), (None, True, False, ""), (0, -1, 1.5, 123456789012), ("é€😀", "\u2028", "\u0000", '"\\'), ({"a": {"b": [{}, []]}, "é": "ü"},),
    ("x" * 100_000,), (b"\x01\x02\x03",), (b"", b"\xff"), ({"blob": b"\x00\x1e4", "list": ["é", [bytes(range(256)) * 300]]},),
]


def one_or_more(args):
    """What a client makes of the arguments of an ack: none, a value or a tuple."""
    return None if not args else args[0] if len(args) == 1 else args


def in_order(sio):
    """Has a client handle packets where it reads them. By itself it starts a thread for each, and they overtake each
    other: an attachment its packet, for example."""
    trigger = sio.eio._trigger_event
    sio.eio._trigger_event = lambda event, *args, run_async=False: trigger(event, *args)
    return sio


class Threads(unittest.TestCase):
    def client(self, namespaces=("/",), **options):
        sio = in_order(socketio.Client(reconnection=False))
        self.addCleanup(sio.disconnect)
        sio.got = {}
        for namespace in namespaces:
            for event in ["hello", "message", "said", "disconnect", "connect_error"]:
                arrived = sio.got[namespace, event] = queue.Queue()
                sio.on(event, lambda *args, arrived=arrived: arrived.put(args), namespace=namespace)
        sio.connect(URL, transports=TRANSPORTS, namespaces=list(namespaces), wait_timeout=WITHIN, **options)
        return sio

    def got(self, sio, event, namespace="/"):
        return sio.got[namespace, event].get(timeout=WITHIN)

    def call(self, sio, event, *args, namespace="/"):
        return sio.call(event, args, namespace=namespace, timeout=WITHIN)

    def test_connecting(self):
        sio = self.client(auth={"token": "é€😀", "list": [1, None]})
        self.assertEqual(self.got(sio, "hello"), (sio.get_sid("/"), {"token": "é€😀", "list": [1, None]}, False, [], {}))
        self.assertEqual(sio.transport(), LAST)

    def test_events_and_acks(self):
        sio = self.client()
        for args in KINDS:
            self.assertEqual(self.call(sio, "ack", *args), one_or_more(args))
            sio.emit("message", args)
            self.assertEqual(self.got(sio, "message"), args)

    def test_the_server_asks(self):
        sio = self.client()
        for answer, want in [
            (5, [None, 5]), ((1, "é", b"\x01"), [None, 1, "é", b"\x01"]), ({"blob": b"\x02"}, [None, {"blob": b"\x02"}]),
        ]:
            asked = queue.Queue()

            @sio.on("question")
            def question(*args, answer=answer, asked=asked):
                asked.put(args)
                return answer

            self.assertEqual(list(self.call(sio, "ask me", WITHIN * 1000, "x", b"\x09")), want)
            self.assertEqual(asked.get(timeout=WITHIN), ("x", b"\x09"))

    def test_rooms(self):
        one, two = self.client(), self.client()
        for sio in (one, two):
            self.assertEqual(self.call(sio, "join", "python"), ["python"])
        for i in range(60):
            one.emit("emit", ({"to": ["python"]}, "said", i if i % 3 else bytes([i])))
        one.emit("emit", ({"from": "socket", "to": ["python"]}, "said", "to the other"))
        two.emit("emit", ({"from": "socket", "to": ["python"]}, "said", "to the one"))
        want = [(i if i % 3 else bytes([i]),) for i in range(60)]
        self.assertEqual([self.got(two, "said") for _ in range(61)], want + [("to the other",)])
        self.assertEqual([x for x in [self.got(one, "said") for _ in range(61)] if x != ("to the one",)], want)

    def test_namespaces(self):
        names = ("/", "/custom", "/game-7") + (("/é",) if TRANSPORTS == ["websocket"] else ())  # POST wants ASCII
        sio = self.client(names)
        self.assertEqual(len({self.got(sio, "hello", n)[0] for n in names}), len(names))
        for name in names:
            self.assertEqual(self.call(sio, "ack", name, b"\x01", namespace=name), (name, b"\x01"))
        sio.emit("disconnect me", False, namespace="/custom")
        self.got(sio, "disconnect", "/custom")
        self.assertNotIn("/custom", sio.namespaces)
        self.assertEqual(self.call(sio, "ack", 1), 1)

    def test_refusals(self):
        sio = in_order(socketio.Client(reconnection=False))
        errors = queue.Queue()
        for name in ["/guarded", "/nowhere"]:
            sio.on("connect_error", lambda *args, name=name: errors.put((name, *args)), namespace=name)
        self.addCleanup(sio.disconnect)
        sio.connect(URL, transports=TRANSPORTS, namespaces=["/guarded", "/nowhere"], auth={"with": "object"}, wait=False)
        self.assertEqual(sorted((errors.get(timeout=WITHIN) for _ in range(2)), key=lambda e: e[0]), [
            ("/guarded", {"message": "nope", "data": {"code": "E", "list": [1, None]}}), ("/nowhere", {"message": "Invalid namespace"}),
        ])

    def test_the_server_closes_the_connection(self):
        sio = self.client()
        sio.emit("disconnect me", True)
        self.got(sio, "disconnect")


class Asyncio(unittest.IsolatedAsyncioTestCase):
    async def test_it(self):
        sio = socketio.AsyncClient(reconnection=False)
        said, left = asyncio.Queue(), asyncio.Queue()
        sio.on("said", lambda *args: said.put_nowait(args), namespace="/custom")
        sio.on("disconnect", lambda: left.put_nowait(True), namespace="/custom")
        await sio.connect(URL, transports=TRANSPORTS, namespaces=["/", "/custom"], wait_timeout=WITHIN)
        try:
            self.assertEqual(sio.transport(), LAST)
            for args in KINDS:
                self.assertEqual(await sio.call("ack", args, timeout=WITHIN), one_or_more(args))
            self.assertEqual(await sio.call("join", "a", namespace="/custom", timeout=WITHIN), ["a"])
            await sio.emit("emit", ({"to": ["a"]}, "said", "é", b"\x01"), namespace="/custom")
            self.assertEqual(await asyncio.wait_for(said.get(), WITHIN), ("é", b"\x01"))

            @sio.on("question")
            async def question(blob):
                return blob, "é"

            self.assertEqual(await sio.call("ask me", (WITHIN * 1000, b"\x07"), timeout=WITHIN), (None, b"\x07", "é"))
            await sio.emit("disconnect me", False, namespace="/custom")
            await asyncio.wait_for(left.get(), WITHIN)
            self.assertEqual(await sio.call("ack", 1, timeout=WITHIN), 1)
        finally:
            await sio.disconnect()


unittest.main(verbosity=2, warnings="ignore")
