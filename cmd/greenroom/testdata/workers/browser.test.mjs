// What two browsers see of a chat whose server is a bot. URL is the server's.
import assert from "node:assert/strict";
import { io } from "socket.io-client";

const url = process.env.URL;
const options = { transports: ["websocket"], reconnection: false, forceNew: true };
const next = (socket, event) => new Promise((resolve) => socket.once(event, (...args) => resolve(args)));

const nobody = io(url, options);
const [refusal] = await next(nobody, "connect_error");
assert.equal(refusal.message, "a name, please");
assert.deepEqual(refusal.data, { field: "name" });

const ann = io(url, { ...options, auth: { name: "ann" } });
await next(ann, "connect");
const bob = io(url, { ...options, auth: { name: "bob" } });
await next(bob, "connect");

for (let i = 0; i < 20; i++) {
  const heard = next(bob, "say!");
  assert.equal(await ann.timeout(60_000).emitWithAck("say", `hello ${i}`), "heard");
  const [user, text, meta] = await heard;
  assert.deepEqual([user, text, meta.room, meta.via], ["ann", `hello ${i}`, "lobby", "zeromq"]);
}
const gone = next(bob, "disconnect!");
ann.disconnect();
assert.equal((await gone)[0], "ann");
bob.disconnect();
nobody.disconnect();
console.log("all seen");
