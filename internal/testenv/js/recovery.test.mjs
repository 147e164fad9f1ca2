// Connection state recovery, as the official client sees it over each of its transports: it is cut off by the proxy
// in front of the server, comes back, and has missed nothing. The server is the one of transports/socketio's tests;
// see flow there.
import assert from "node:assert/strict";
import test, { suite } from "node:test";
import { Clients, next, record, soon, transports, upgraded } from "./client.mjs";

const again = { reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 };
const state = (s) => soon(new Promise((resolve) => s.emit("state", (...args) => resolve(args))), "state");

/** Checks that every number has come once, in order, with its offset. */
function complete(got, direct, room) {
  const numbers = (name) => got.filter(([event]) => event === name).map(([, n]) => n);
  const to = (n) => Array.from({ length: n }, (_, i) => i);
  assert.deepEqual(numbers("direct"), to(direct));
  assert.deepEqual(numbers("room"), to(room));
  for (const [event, n, ...rest] of got) {
    if (event === "direct") assert.deepEqual([...rest[0]], [n % 256]);
    assert.equal(typeof rest.at(-1), "string");
  }
}

assert.notEqual(Object.keys(transports).length, 0, "no such transport");
for (const [name, how] of Object.entries(transports)) {
  suite(name, () => {
    test("a client that is cut off misses nothing", async (t) => {
      const s = new Clients(t).make({ ...how, ...again }, "/back");
      const got = record(s, "direct", "room");
      await next(s, "connect");
      assert.equal(Boolean(s.recovered), false);
      const { id } = s;
      s.emit("send");
      await got.until(10);
      for (let round = 0; round < 5; round++) {
        await upgraded(s); // the client may hang when the new transport breaks during the change
        const back = next(s, "connect");
        s.emit("cut");
        await back;
        assert.equal(s.recovered, true, `round ${round}`);
        assert.equal(s.id, id);
        const [theirs, recovered, inside, direct, room] = await state(s);
        assert.deepEqual([theirs, recovered, inside], [id, true, true]);
        await got.until(direct + room);
        complete(got, direct, room);
      }
    });

    test("a client that has left comes back as another", async (t) => {
      const s = await new Clients(t).connected(how, "/back");
      const got = record(s, "direct", "room");
      const { id } = s;
      s.emit("send");
      await got.until(10);
      s.disconnect();
      const back = next(s, "connect");
      s.connect();
      await back;
      assert.equal(Boolean(s.recovered), false);
      assert.notEqual(s.id, id);
      assert.equal((await state(s))[1], false);
    });
  });
}
