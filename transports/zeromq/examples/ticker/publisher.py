"""Random prices for rooms prices.OAK and so on. An XPUB socket hears which of them are looked at, and only those are computed.

    python3 publisher.py tcp://127.0.0.1:5556
"""
import json
import random
import sys
import time

import zmq

OPEN = {"OAK": 48.2, "TIDE": 112.4, "LARK": 9.35, "IRON": 231.0, "MOSS": 17.8, "ONYX": 75.5, "FERN": 140.1, "GALE": 33.9}
EVERY = 0.25  # seconds

s = zmq.Context().socket(zmq.XPUB)
s.bind(sys.argv[1] if len(sys.argv) > 1 else "tcp://127.0.0.1:5556")
print("publishing at", s.get_string(zmq.LAST_ENDPOINT).rstrip("\0"), "- nobody looks yet", flush=True)

price = dict(OPEN)
looked_at = set()


def publish(symbol):
    price[symbol] *= 1 + random.gauss(0, 0.0015)
    what = {"symbol": symbol, "price": round(price[symbol], 2), "open": OPEN[symbol], "at": int(time.time() * 1000)}
    s.send_multipart([b"prices." + symbol.encode(), b"price", json.dumps(what).encode()])


due = time.monotonic() + EVERY
while True:
    if s.poll(max(0, (due - time.monotonic()) * 1000)):
        message = s.recv()  # \1topic: the first who looks; \0topic: the last has looked away
        symbol = message[1:].decode().removeprefix("prices.")
        if symbol not in OPEN:
            continue
        if message[0]:
            looked_at.add(symbol)
            print("somebody looks at", symbol, flush=True)
            publish(symbol)  # at once: who looks need not wait
        else:
            looked_at.discard(symbol)
            print("nobody looks at", symbol, "any more", flush=True)
        continue
    for symbol in sorted(looked_at):
        publish(symbol)
    due = time.monotonic() + EVERY
