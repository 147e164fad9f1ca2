// The browser's bundle with the msgpack parser, as a page loads it: its decoder is another than that for Node.js.
// The server is the one of transports/socketio's tests, see officialApp there.
import assert from "node:assert/strict";
import { createRequire } from "node:module";
import test from "node:test";
import { WebSocket } from "ws";
import { call, next, url } from "./client.mjs";

globalThis.WebSocket = WebSocket; // that of Node.js 20 is an experiment

test("socket.io.msgpack.min.js talks to the server", async (t) => {
  const io = createRequire(import.meta.url)("./node_modules/socket.io-client/dist/socket.io.msgpack.min.js");
  const s = io(`${url}/app`, { transports: ["websocket"], reconnection: false, forceNew: true });
  t.after(() => s.disconnect());
  await next(s, "connect");
  const bytes = (b) => [...new Uint8Array(b)];
  for (const value of [
    null, true, 0, -1, -33, -129, -40_000, -3e9, 127, 255, 65_535, 4_294_967_296, 1.5, 5e-324, "", "ü€😀", "x".repeat(70_000), [], {},
    { a: [{ b: null }], "\u0000": "\u001e" }, Array.from({ length: 20 }, (_, i) => i),
  ]) assert.deepEqual(await call(s, "echo", value), value);
  for (const value of [new Uint8Array(0), new Uint8Array([1, 2, 3]), new Uint8Array(8), new Uint8Array(300), new Uint8Array(70_000)]) {
    const back = await call(s, "echo", { list: [value.buffer] }); // a typed array becomes an object in browsers
    assert.deepEqual(back.list.map(bytes), [bytes(value)]);
  }
  assert.equal(await call(s, "echo", new Date(1500)), "1970-01-01T00:00:01.500Z");
  const asked = next(s, "question");
  s.once("question", (n, blob, answer) => answer([n, bytes(blob)]));
  assert.deepEqual(await call(s, "ask me", 7), [7, [1, 2]]);
  await asked;
});
