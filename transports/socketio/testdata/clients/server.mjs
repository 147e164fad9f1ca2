// The server of legacy.test.mjs on Node.js: what Greenroom's is compared with.
import { createServer } from "node:http";
import { Server } from "socket.io";

const http = createServer();
const io = new Server(http, { allowEIO3: true, pingInterval: 300, pingTimeout: 20_000 });

function session(socket) {
  const { handshake } = socket;
  socket.emit("hello", socket.id);
  socket.on("message", (...args) => socket.emit("message-back", ...args));
  socket.on("ack", (...args) => args.pop()(...args));
  socket.on("whoami", (answer) => answer(socket.id, handshake.auth));
  socket.on("join", (room, answer) => (socket.join(room), answer("ok")));
  socket.on("say", (room, ...args) => socket.nsp.to(room).emit("said", ...args));
  socket.on("ask me", (blob, answer) => socket.emit("question", blob, (reply) => answer("heard", reply)));
  socket.on("disconnect me", () => socket.disconnect());
}

io.on("connection", session);
io.of("/custom").on("connection", session);
io.of("/guarded").use((socket, next) => {
  const error = new Error("nope");
  if (socket.handshake.auth.with === "data") error.data = { code: 1 };
  next(error);
});
http.listen(Number(process.env.PORT), "127.0.0.1");
