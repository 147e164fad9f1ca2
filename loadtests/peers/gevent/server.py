"""The python-socketio peer, on gevent: /usr/bin/python3 server.py PORT (Debian: python3-socketio python3-gevent
python3-gevent-websocket). The same three events as every other peer:

    join(room)        ack "ok"
    pub(room, text)   `msg` with the text to everyone in the room, the sender too
    echo(value)       ack value
"""

from gevent import monkey

monkey.patch_all()

import sys

import socketio
from gevent import pywsgi
from geventwebsocket.handler import WebSocketHandler

# async_handlers=False: an event is handled where it is read, in order, without a greenlet of its own, which is
# both what the others do and the faster of the two. http_compression=False: nobody compresses.
io = socketio.Server(async_mode="gevent", async_handlers=False, http_compression=False)


@io.event
def join(sid, room):
    io.enter_room(sid, room)
    return "ok"


@io.event
def pub(sid, room, text):
    io.emit("msg", text, room=room)


@io.event
def echo(sid, value):
    return value


server = pywsgi.WSGIServer(
    ("127.0.0.1", int(sys.argv[1])),
    socketio.WSGIApp(io),
    handler_class=WebSocketHandler,
    backlog=4096,
    log=None,
)
server.serve_forever()
