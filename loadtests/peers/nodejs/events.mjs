// The official client at a peer: node events.mjs URL. It ends with status 0 when the three events do what they must.
import assert from "node:assert/strict";
import { io } from "socket.io-client";

const options = { transports: ["websocket"], reconnection: false, forceNew: true };
const clients = [1, 2, 3].map(() => io(process.argv[2], options));
const [a, b, outside] = clients;
try {
  const connected = (s) => new Promise((yes, no) => s.on("connect", yes).on("connect_error", no));
  await Promise.all(clients.map(connected));
  for (const s of [a, b]) assert.equal(await s.emitWithAck("join", "room"), "ok");
  assert.equal(await outside.emitWithAck("join", "another"), "ok");

  const heard = [];
  const all = new Promise((done) => {
    for (const [name, s] of Object.entries({ a, b, outside })) {
      s.on("msg", (text) => heard.push([name, text]) === 4 && done());
    }
  });
  a.emit("pub", "room", "one");
  a.emit("pub", "room", "two ✓");
  await all;
  for (const name of ["a", "b"]) {
    assert.deepEqual(heard.filter(([n]) => n === name), [[name, "one"], [name, "two ✓"]]);
  }
  // An echo to the one outside comes behind whatever would have been sent to it.
  for (const value of ["x", "ä\"\\", 7]) assert.equal(await outside.emitWithAck("echo", value), value);
  assert.equal(heard.length, 4);
} finally {
  for (const s of clients) s.disconnect();
}
process.exit(0); // some servers leave the last word to the client, which would wait for half a minute
