// The Node.js server with the official server's side of the Admin UI, doing what the application of the tests does.
import { createServer } from "node:http";
import { Server } from "socket.io";
import msgpackParser from "socket.io-msgpack-parser";
import admin from "@socket.io/admin-ui";

const http = createServer();
const io = new Server(http, { parser: { msgpack: msgpackParser }[process.env.GREENROOM_PARSER] });
admin.instrument(io, {
  auth: { type: "basic", username: "admin", password: process.env.ADMIN_HASH },
  mode: "development",
  serverId: "here",
});
io.on("connection", (socket) => {
  socket.on("join", (room, ack) => { socket.join(room); ack(); });
  socket.on("data", (data, ack) => { for (const key in data) socket.data[key] = data[key]; ack(); });
  socket.on("yo", (ack) => { socket.emit("yo", 1); ack(); });
});
http.listen(Number(process.env.PORT), "127.0.0.1");
