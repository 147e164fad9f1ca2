// The Node.js peer: node server.js PORT. The same three events as every other peer:
//
//   join(room)        ack "ok"
//   pub(room, text)   `msg` with the text to everyone in the room, the sender too
//   echo(value)       ack value
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { serveClient: false });

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
