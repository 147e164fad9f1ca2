// The built-in session handler (Relay), asked by the official client over each of its transports.
// Run by Go tests, or by hand:  GREENROOM_URL=http://127.0.0.1:3000 node relay.test.mjs
import assert from "node:assert/strict";
import test, { suite } from "node:test";
import { call, Clients, newRoom, next, record, transports } from "./client.mjs";

for (const [name, how] of Object.entries(transports)) {
  suite(name, () => {
    const named = (who) => ({ ...how, auth: { name: who } });

    test("uses the transport it was told to", async (t) => {
      const s = await new Clients(t).connected(how);
      assert.equal(s.io.engine.transport.name, name === "upgrade" ? "websocket" : name);
      assert.match(s.id, /^[A-Za-z0-9_-]{20}$/);
    });

    test("join, publish with ack, receive with meta, leave", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const [ann, bo] = [await clients.connected(named("Ann")), await clients.connected(named("Bo"))];
      for (const s of [ann, bo]) assert.equal((await call(s, "join", room)).ok, true);

      const before = Date.now();
      const arrives = next(bo, "note");
      const echo = record(ann, "note");
      const answer = await call(ann, "publish", room, "note", { a: [1, "ü", null, true] });
      const [data, meta, ...rest] = await arrives;
      assert.equal(answer.ok, true);
      assert.equal(typeof answer.id, "string");
      assert.deepEqual(data, { a: [1, "ü", null, true] });
      assert.equal(meta.room, room);
      assert.equal(meta.id, answer.id);
      assert.deepEqual(meta.from, { id: ann.id, name: "Ann" });
      assert.ok(Math.abs(new Date(meta.at) - before) < 60_000, `meta.at is ${meta.at}`);
      assert.equal("via" in meta, false);
      assert.equal(rest.length, 0);

      const [own] = await Promise.all([next(ann, "note"), call(ann, "publish", room, "note", "mine too", { echo: true })]);
      assert.equal(own[0], "mine too");
      assert.equal(echo.length, 1, "without echo the sender must not get its own");

      assert.deepEqual(await call(bo, "leave", room), { ok: true });
      const late = record(bo, "note");
      assert.equal((await call(ann, "publish", room, "note", "alone")).ok, true);
      assert.equal((await call(bo, "presence", room)).ok, true); // anything sent to Bo before is here by now
      assert.equal(late.length, 0, "after leave nothing may come");
    });

    test("publishing into a room that one is not in", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const [inside, outside] = [await clients.connected(how), await clients.connected(how)];
      await call(inside, "join", room);
      const [[data]] = await Promise.all([next(inside, "note"), call(outside, "publish", room, "note", 7)]);
      assert.equal(data, 7);
    });

    test("presence: the list, and live updates for those who asked", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const ann = await clients.connected(named("Ann"));
      const joined = await call(ann, "join", room, { presence: true });
      assert.deepEqual(joined.members, [{ id: ann.id, name: "Ann" }]);

      const bo = await clients.connected(named("Bo"));
      const quiet = record(bo, "presence");
      const has = (list, id) => Array.isArray(list) && list.some((p) => p.id === id);
      const [[update]] = await Promise.all([
        next(ann, "presence", (u) => u.room === room && has(u.joined, bo.id)),
        call(bo, "join", room),
      ]);
      assert.deepEqual(update.joined.find((p) => p.id === bo.id), { id: bo.id, name: "Bo" });

      const list = await call(ann, "presence", room);
      assert.equal(list.ok, true);
      assert.deepEqual(new Set(list.members.map((p) => p.name)), new Set(["Ann", "Bo"]));

      await Promise.all([next(ann, "presence", (u) => has(u.left, bo.id)), call(bo, "leave", room)]);
      assert.deepEqual((await call(ann, "presence", room)).members.map((p) => p.id), [ann.id]);
      assert.equal(quiet.length, 0, "who did not ask gets no presence events");

      const cy = await clients.connected(named("Cy"));
      await Promise.all([next(ann, "presence", (u) => has(u.joined, cy.id)), call(cy, "join", room)]);
      const id = cy.id;
      const gone = next(ann, "presence", (u) => has(u.left, id));
      cy.disconnect();
      await gone;
    });

    test("history: the last n, and what came after a message", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const ann = await clients.connected(named("Ann"));
      await call(ann, "join", room);
      const ids = [];
      for (let i = 0; i < 10; i++) ids.push((await call(ann, "publish", room, "count", { i })).id);
      assert.equal(new Set(ids).size, 10);
      assert.equal((await call(ann, "publish", room, "gone", 1, { volatile: true })).ok, true);

      const last = await call(ann, "history", room, { limit: 3 });
      assert.deepEqual(last.messages.map((m) => m.data.i), [7, 8, 9]);
      const { event, id, meta } = last.messages[0];
      assert.deepEqual({ event, id }, { event: "count", id: ids[7] });
      assert.deepEqual({ room: meta.room, id: meta.id, from: meta.from }, { room, id: ids[7], from: { id: ann.id, name: "Ann" } });

      const after = await call(ann, "history", room, { limit: 2, after: ids[4] });
      assert.deepEqual(after.messages.map((m) => m.data.i), [5, 6]);
      assert.deepEqual((await call(ann, "history", room, { limit: 5, after: ids[9] })).messages, []);

      const bo = await clients.connected(how);
      const joined = await call(bo, "join", room, { history: 4 });
      assert.deepEqual(joined.messages.map((m) => m.data.i), [6, 7, 8, 9]);
      assert.equal("messages" in (await call(await clients.connected(how), "join", room)), false);
    });

    test("binary both ways, also nested", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const [ann, bo] = [await clients.connected(how), await clients.connected(how)];
      await call(bo, "join", room);
      const bytes = Buffer.from(Array.from({ length: 700 }, (_, i) => i % 256));
      const [[plain, meta]] = await Promise.all([next(bo, "blob"), call(ann, "publish", room, "blob", bytes)]);
      assert.deepEqual(Buffer.from(plain), bytes);
      assert.equal(meta.room, room);
      const [[nested]] = await Promise.all([
        next(bo, "blob"),
        call(ann, "publish", room, "blob", { name: "x", parts: [bytes, Buffer.alloc(0)] }),
      ]);
      assert.equal(nested.name, "x");
      assert.deepEqual(nested.parts.map((p) => Buffer.from(p)), [bytes, Buffer.alloc(0)]);
    });

    test("history of binary messages: as many as one packet may carry, then the next ones", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const ann = await clients.connected(how);
      const ids = [];
      for (let i = 0; i < 15; i++) ids.push((await call(ann, "publish", room, "blob", Buffer.from([i]))).id);
      const bo = await clients.connected(how);
      const data = (answer) => answer.messages.map((m) => Buffer.from(m.data)[0]);
      assert.deepEqual(data(await call(bo, "join", room, { history: 100 })), [5, 6, 7, 8, 9, 10, 11, 12, 13, 14]);
      const first = await call(bo, "history", room, { after: ids[0] });
      assert.deepEqual(data(first), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
      assert.deepEqual(data(await call(bo, "history", room, { after: first.messages.at(-1).id })), [11, 12, 13, 14]);
      assert.equal(bo.connected, true);
    });

    test("wrong calls are answered with a code and a sentence", async (t) => {
      const s = await new Clients(t).connected(how);
      const room = newRoom();
      for (const [what, ...wrong] of [
        ["an unknown call", "nosuchcall", 1],
        ["join without a room", "join"],
        ["join with an empty room", "join", ""],
        ["join with a number", "join", 5],
        ["join with null", "join", null],
        ["join with options that are none", "join", room, "presence"],
        ["join with a negative history", "join", room, { history: -1 }],
        ["join with more than it takes", "join", room, {}, 1],
        ["leave with options that are none", "leave", room, "now"],
        ["presence with options that are none", "presence", room, 7],
        ["a reserved room", "join", "$secret"],
        ["leave without a room", "leave"],
        ["publish without an event", "publish", room],
        ["publish without data", "publish", room, "note"],
        ["publish with more than it takes", "publish", room, "note", 1, {}, 1],
        ["publish with binary options", "publish", room, "note", 1, Buffer.from([1])],
        ["publish with an empty event", "publish", room, "", 1],
        ["publish with an object as event", "publish", room, {}, 1],
        ["presence of an array", "presence", []],
        ["history of a boolean", "history", true],
        ["the server's own event", "publish", room, "presence", { room, joined: [], left: [] }],
        ["event connect", "publish", room, "connect", 1],
        ["event connect_error", "publish", room, "connect_error", 1],
        ["event disconnect", "publish", room, "disconnect", 1],
        ["event disconnecting", "publish", room, "disconnecting", 1],
        ["event newListener", "publish", room, "newListener", 1],
        ["event removeListener", "publish", room, "removeListener", 1],
      ]) {
        const answer = await call(s, ...wrong);
        assert.equal(answer?.ok, false, `${what}: ${JSON.stringify(answer)}`);
        assert.match(answer.error.code, /^[a-z_]+$/, what);
        assert.ok(answer.error.message.length > 3, what);
        assert.doesNotMatch(answer.error.message, /struct|map\[|hub\.|\bint\b|float64|json:|Go /, what);
      }
      const options = await call(s, "join", room, "presence");
      assert.equal(options.error.message, "join: options: want an object, got a string");
      assert.equal((await call(s, "publish", room, "note", null)).ok, true, "data may be null");
      assert.equal((await call(s, "join", room, { fromTheFuture: 1 })).ok, true, "newer clients' options are ignored");
      s.emit("nosuchcall"); // without an ack there is nobody to tell
      assert.equal((await call(s, "join", room)).ok, true, "the session lives on");
    });

    test("acks come in the order of the calls", async (t) => {
      const s = await new Clients(t).connected(how);
      const room = newRoom();
      await call(s, "join", room);
      const order = [];
      await Promise.all(Array.from({ length: 200 }, async (_, i) => {
        const answer = await call(s, ...(i % 3 ? ["publish", room, "n", i] : ["presence", room]));
        assert.equal(answer.ok, true);
        order.push(i);
      }));
      assert.deepEqual(order, Array.from({ length: 200 }, (_, i) => i));
    });

    test("1000 messages of two clients: none lost, each sender's in order, all receivers alike", async (t) => {
      const clients = new Clients(t);
      const room = newRoom();
      const [a, b, c, d] = await Promise.all([1, 2, 3, 4].map(() => clients.connected(how)));
      const got = [c, d].map((s) => record(s, "n"));
      for (const s of [c, d]) await call(s, "join", room);
      for (let i = 0; i < 500; i++) {
        a.emit("publish", room, "n", ["a", i]);
        b.emit("publish", room, "n", ["b", i]);
      }
      await Promise.all(got.map((g) => g.until(1000)));
      for (const g of got) {
        for (const who of ["a", "b"]) {
          const mine = g.filter(([, [from]]) => from === who).map(([, [, i]]) => i);
          assert.deepEqual(mine, Array.from({ length: 500 }, (_, i) => i), `order of ${who}`);
        }
      }
      const ids = got.map((g) => g.map(([, , meta]) => meta.id));
      assert.deepEqual(ids[0], ids[1], "a room has one order");
    });

    test("an unknown namespace is refused in Socket.IO's words", async (t) => {
      const s = new Clients(t).make(how, "/no-such-namespace");
      const [err] = await next(s, "connect_error");
      assert.equal(err.message, "Invalid namespace");
    });

    test("disconnecting: our side knows why, the server forgets us, and we can come back", async (t) => {
      const clients = new Clients(t);
      const s = await clients.connected(how);
      const old = s.id;
      const gone = next(s, "disconnect");
      s.disconnect();
      assert.deepEqual((await gone)[0], "io client disconnect");
      const back = next(s, "connect");
      s.connect();
      await back;
      assert.notEqual(s.id, old);

      const cut = next(s, "disconnect");
      s.io.engine.close();
      assert.equal((await cut)[0], "forced close");
    });
  });
}
