// What package hub offers beside one session's own business, asked by the official client over each of its
// transports. The server is the one of transports/socketio's tests, which start this script; see apiApp there.
import assert from "node:assert/strict";
import test, { suite } from "node:test";
import { Manager } from "socket.io-client";
import { call, Clients, next, record, soon, transports, upgraded, url } from "./client.mjs";

assert.notEqual(Object.keys(transports).length, 0, "no such transport");
for (const [name, how] of Object.entries(transports)) {
  suite(name, () => {
    test("a room is asked, binary values go both ways", async (t) => {
      const clients = new Clients(t);
      const asker = await clients.connected(how, "/api");
      const voters = [];
      for (const answer of ["tea", "coffee", "water"]) {
        const s = await clients.connected(how, "/api");
        await call(s, "join", "voters");
        s.on("vote?", (blob, reply) => {
          reply(answer, Buffer.concat([blob, Buffer.from(answer)]));
          reply("twice"); // only the first one counts
        });
        voters.push(s);
      }
      assert.deepEqual(await call(asker, "ask", "voters", Buffer.from("re: ")), {
        answers: ["coffee re: coffee", "tea re: tea", "water re: water"], missing: 0,
      });
      voters[1].off("vote?"); // does not answer any more
      let asked; // on a busy machine the others may need longer
      for (let ms = 100; ms < 20_000 && asked?.missing !== 1; ms *= 2) {
        asked = await call(asker, "ask briefly", "voters", Buffer.from(""), ms);
      }
      assert.deepEqual(asked, { answers: ["tea tea", "water water"], missing: 1 });
      // One leaves: nobody waits for the time to run out.
      voters[1].on("vote?", () => voters[1].disconnect());
      assert.deepEqual(await call(asker, "ask", "voters", Buffer.from("")), {
        answers: ["tea tea", "water water"], missing: 1,
      });
    });

    test("sessions are listed with what is known of them", async (t) => {
      const s = await new Clients(t).connected({ ...how, auth: { k: 1 } }, "/api");
      await call(s, "join", "listed");
      await call(s, "data", { n: 1 });
      const [me] = await call(s, "list", "listed");
      const transport = name === "polling" ? "polling" : "websocket";
      assert.deepEqual(me, { id: s.id, rooms: ["listed"], data: { n: 1 }, auth: { k: 1 }, transport, connection: me.connection });
      assert.equal(me.connection.length, 12);
      assert.ok(!s.io.engine.id.startsWith(me.connection), "the connection's secret id is not shown");
    });

    test("sessions are moved and disconnected by their rooms", async (t) => {
      const clients = new Clients(t);
      const [a, b, c] = await Promise.all([1, 2, 3].map(() => clients.connected(how, "/api")));
      for (const s of [a, b]) await call(s, "join", "old");
      await call(c, "move", "old", "new");
      const heard = [a, b, c].map((s) => record(s, "news"));
      await call(c, "tell", "new", b.id); // all but b
      assert.deepEqual([...(await heard[0].until(1))], [["news"]]);
      const gone = [a, b].map((s) => next(s, "disconnect"));
      await call(c, "kick", "new");
      for (const g of gone) assert.equal((await g)[0], "io server disconnect");
      assert.deepEqual([heard[1].length, heard[2].length], [0, 0]);
    });

    test("the others hear from a session that ends, while it is in its rooms", async (t) => {
      const clients = new Clients(t);
      const [a, b] = [await clients.connected(how, "/api"), await clients.connected(how, "/api")];
      for (const s of [a, b]) await call(s, "join", "party");
      const bye = next(b, "ending");
      const id = a.id;
      a.disconnect();
      assert.deepEqual(await bye, [id, "client namespace disconnect"]);
    });

    test("middlewares refuse events, listeners see what goes in and out", async (t) => {
      const s = await new Clients(t).connected(how, "/api");
      assert.deepEqual(await call(s, "forbidden"), { ok: false, error: { code: "error", message: "forbidden" } });
      const asked = next(s, "asked");
      assert.equal(await call(s, "emit", "asked"), "ok");
      await asked;
      assert.deepEqual(await call(s, "seen"), { in: ["forbidden", "emit", "seen"], out: ["asked"] });
    });

    test("the whole connection can be closed", async (t) => {
      const manager = new Manager(url, { ...how, reconnection: false });
      t.after(() => manager._close());
      const [api, game] = [manager.socket("/api"), manager.socket("/game-1")];
      await Promise.all([api, game].map((s) => next(s, "connect")));
      await upgraded(api);
      const gone = [api, game].map((s) => next(s, "disconnect"));
      const closed = soon(new Promise((resolve) => manager.once("close", resolve)), "the end of the connection");
      api.emit("close");
      for (const g of gone) assert.equal((await g)[0], "io server disconnect");
      await closed;
    });

    test("namespaces come with their sessions and go with them", async (t) => {
      const clients = new Clients(t);
      const s = await clients.connected(how, "/api");
      const game = await clients.connected(how, "/game-42");
      assert.equal(await call(game, "where"), "/game-42");
      assert.ok((await call(s, "namespaces")).includes("/game-42"));
      const refused = clients.make(how, "/game-x");
      const err = await new Promise((resolve) => refused.once("connect_error", resolve));
      assert.equal(err.message, "Invalid namespace");
      game.disconnect();
      await soon((async () => {
        while ((await call(s, "namespaces")).includes("/game-42")) { /* until it is gone */ }
      })(), "the end of the namespace");
    });
  });
}
