// The Node.js peer: node server.js PORT [deflate]. The same three events as every other peer:
//
//   join(room)        ack "ok"
//   pub(room, text)   `msg` with the text to everyone in the room, the sender too
//   echo(value)       ack value
//
// Set up as Socket.IO's documentation recommends for performance: ws with its native add-on bufferutil
// (utf-8-validate is part of Node.js by now), and the first HTTP request of a session is forgotten.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, {
  serveClient: false,
  httpCompression: false,
  perMessageDeflate: process.argv[3] === "deflate" && { threshold: 0 }, // small messages too
});
io.engine.on("connection", (raw) => (raw.request = null));

io.on("connection", (socket) => {
  socket.on("join", (room, ack) => {
    socket.join(room);
    ack?.("ok");
  });
  socket.on("pub", (room, text) => io.to(room).emit("msg", text));
  socket.on("echo", (value, ack) => ack?.(value));
});

http.listen(Number(process.argv[2] ?? 3000), "127.0.0.1", 4096);
process.on("SIGTERM", () => process.exit(0));
