// A Node.js node for the comparison: socket.io with an official Redis adapter. Like a Greenroom node of the same program
// it prints its address, lets clients join a room, and emits what lines on its standard input say.
import { createServer } from "node:http";
import { createInterface } from "node:readline";
import { Server } from "socket.io";
import { createAdapter, createShardedAdapter } from "@socket.io/redis-adapter";
import { createAdapter as createStreamsAdapter } from "@socket.io/redis-streams-adapter";
import { createClient } from "redis";

const [url, adapter] = process.argv.slice(2);
const pub = createClient({ url });
const sub = pub.duplicate();
await Promise.all([pub.connect(), sub.connect()]);
const http = createServer();
const adapters = {
  classic: () => createAdapter(pub, sub),
  sharded: () => createShardedAdapter(pub, sub),
  streams: () => createStreamsAdapter(pub),
};
const io = new Server(http, { adapter: adapters[adapter]() });
io.on("connection", (socket) => socket.on("join", (room) => socket.join(room)));
const text = "x".repeat(64);
createInterface({ input: process.stdin }).on("line", (line) => {
  for (let n = Number(line); n > 0; n--) io.to("room").emit("message", String(process.hrtime.bigint()), text);
}).on("close", () => process.exit());
http.listen(0, "127.0.0.1", () => console.log(`127.0.0.1:${http.address().port}`));
