# The rows of the table, with gevent. Run by the Go program: python3 -c … ROW N. Prints one figure: nanoseconds
# of processor time for one operation, or bytes for one greenlet. "http" serves instead, and prints its address.
import gc
import os
import sys
import time

import gevent
from gevent.event import AsyncResult, Event
from gevent.queue import Queue


def clocked(n, fn):
    began = time.process_time_ns()
    fn()
    return (time.process_time_ns() - began) / n


def yields(n, greenlets):
    def turns():
        for _ in range(n // greenlets):
            gevent.sleep(0)
    return clocked(n, lambda: gevent.joinall([gevent.spawn(turns) for _ in range(greenlets)]))


def nothing():
    pass


def spawn(n):
    def run():
        for _ in range(n):
            gevent.spawn(nothing).join()
    return clocked(n, run)


def spawn_many(n):
    return clocked(n, lambda: gevent.joinall([gevent.spawn(nothing) for _ in range(n)]))


def queue(n):
    there, back = Queue(), Queue()

    def echo():
        while True:
            back.put(there.get())

    def run():
        for i in range(n):
            there.put(i)
            back.get()
    gevent.spawn(echo)
    return clocked(n, run)


def future(n):
    def run():
        for _ in range(n):
            r = AsyncResult()
            gevent.spawn(r.set, 1)
            r.get()
    return clocked(n, run)


def resident():
    with open("/proc/self/statm") as f:
        return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def parked(n):
    ready = Event()
    gc.collect()
    before = resident()
    greenlets = [gevent.spawn(ready.wait) for _ in range(n)]
    gevent.sleep(0)
    gc.collect()
    return (resident() - before) / len(greenlets)


def woken(n, then):
    """n wait for one event; each does something when it is woken, and the last one stops the clock."""
    ready, done, left = Event(), Event(), [n]

    def wait():
        ready.wait()
        left[0] -= 1
        if left[0] == 0:
            done.set()
        then()
    greenlets = [gevent.spawn(wait) for _ in range(n)]
    gevent.sleep(0)

    def run():
        ready.set()
        done.wait()
    return clocked(len(greenlets), run)


def event_set(n):
    return woken(n, Event().wait)


SLEEPING = 100_000


def asleep():
    greenlets = [gevent.spawn(gevent.sleep, 3600 + i / 1000) for i in range(SLEEPING)]
    gevent.sleep(0)
    return greenlets


def sleep_start(n):
    greenlets = asleep()
    return woken(n, lambda: gevent.sleep(3600)) if greenlets else 0


def timeout(n):
    greenlets = asleep()

    def run():
        for _ in range(n):
            gevent.Timeout.start_new(3600).close()
    return clocked(n, run) if greenlets else 0


def http():
    from gevent.pywsgi import WSGIServer

    def hello(environ, start_response):
        if environ["PATH_INFO"] != "/":
            start_response("404 Not Found", [("Content-Type", "text/plain")])
            return [b"Not Found"]
        start_response("200 OK", [("Content-Type", "text/plain")])
        return [b"Hello World!"]
    server = WSGIServer(("127.0.0.1", 0), hello, log=None)
    server.start()
    print("127.0.0.1:%d" % server.server_port, flush=True)
    server.serve_forever()


def main():
    row, n = sys.argv[1], int(sys.argv[2])
    if row == "http":
        http()
    print({
        "yield2": lambda: yields(n, 2),
        "yield1000": lambda: yields(n, 1000),
        "spawn": lambda: spawn(n),
        "spawnmany": lambda: spawn_many(n),
        "queue": lambda: queue(n),
        "future": lambda: future(n),
        "parked10k": lambda: parked(n),
        "parked100k": lambda: parked(n),
        "eventset": lambda: event_set(n),
        "sleep": lambda: sleep_start(n),
        "timeout": lambda: timeout(n),
    }[row]())
    sys.stdout.flush()
    os._exit(0)  # without unwinding 100 000 greenlets


main()
