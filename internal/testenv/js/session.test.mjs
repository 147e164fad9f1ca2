// What a session of one's own can do, asked by the official client over each of its transports. The server
// is the one of transports/socketio's tests, which start this script; see officialApp there.
import assert from "node:assert/strict";
import test, { suite } from "node:test";
import { Manager } from "socket.io-client";
import { call, Clients, encoded, next, parser, record, soon, transports, upgraded, url } from "./client.mjs";

const bytes = (n) => Buffer.from(Array.from({ length: n }, (_, i) => (i * 7) % 256));
const as = (list) => list.map((b) => Buffer.from(b));

assert.notEqual(Object.keys(transports).length, 0, "no such transport");
for (const [name, how] of Object.entries(transports)) {
  suite(name, () => {
    test("CONNECT carries auth there and an id back", async (t) => {
      const s = await new Clients(t).connected({ ...how, auth: { token: "t", n: [1] } }, "/app");
      assert.deepEqual(await call(s, "auth"), { token: "t", n: [1] });
      assert.deepEqual(await call(s, "id"), s.id);
      const plain = await new Clients(t).connected(how, "/app");
      assert.deepEqual(await call(plain, "auth"), {});
    });

    test("acks bring back what was sent, of every kind", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      for (const args of [
        [], [null], [0, -1, 1.5, parser ? 2 ** 53 : 1e21], ["", "ü€😀", "</script>", "\u2028", "\u0000", '"\\'], [true, false],
        [{ a: { b: [{}, []] } }], ["x".repeat(200_000)], [{ _placeholder: true, num: 0 }],
      ]) {
        const got = await new Promise((resolve) => s.emit("echo", ...args, (...back) => resolve(back)));
        assert.deepEqual(got, args);
      }
    });

    test("the server asks, the client answers", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const asked = [];
      s.on("question", (n, blob, answer) => {
        asked.push([n, Buffer.from(blob)]);
        answer({ sum: n + blob.length, blob: Buffer.from([9, 8]) });
      });
      const got = await call(s, "ask me", 40);
      assert.deepEqual(asked, [[40, Buffer.from([1, 2])]]);
      assert.equal(got.sum, 42);
      assert.deepEqual(Buffer.from(got.blob), Buffer.from([9, 8]));
      // The ids go on, and each answer finds its question.
      s.off("question").on("question", (n, _, answer) => setTimeout(answer, 5, { sum: n }));
      for (const n of [1, 2, 3]) assert.equal((await call(s, "ask me", n)).sum, n);
      // Nobody answers: the server gives up, and the late answer does no harm.
      let late;
      s.off("question").on("question", (_n, _b, answer) => (late = answer));
      assert.equal((await call(s, "ask briefly")), "timeout");
      late("too late");
      late("and twice");
      assert.equal(await call(s, "echo", "alive"), "alive");
    });

    test("emitWithAck and timeouts", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      assert.equal(await s.emitWithAck("echo", 1), 1);
      await assert.rejects(s.timeout(50).emitWithAck("silent"), /operation has timed out/);
      // The answer to what timed out goes nowhere.
      await assert.rejects(s.timeout(50).emitWithAck("slow", "late"), /operation has timed out/);
      s.emit("now");
      const inTime = call(s, "slow", "in time");
      s.emit("now");
      assert.equal(await inTime, "in time");
      // A pending ack fails when the client leaves.
      const pending = s.timeout(10_000).emitWithAck("silent");
      s.disconnect();
      await assert.rejects(pending, /socket has been disconnected/);
    });

    test("a connection that is closed over a mistake says why, and is a transport close as ever", async (t) => {
      for (const [what, mistake, code, text] of [
        ["no packet", (s) => s.io.engine.send("9"), 1002, parser ? "got plaintext data when msgpack is spoken" : "unknown packet type"],
        ["a namespace never joined", (s) => s.io.engine.send(encoded({ type: 2, nsp: "/table", data: ["double", 1] })), 1008, "namespace not joined"],
        ["larger than allowed", (s) => s.emit("silent", "x".repeat(1_100_000)), 1009, "message larger than the limit"],
      ]) {
        if (name === "polling" && code === 1009) continue; // see the next test
        const s = await new Clients(t).connected({ ...how, reconnection: true, reconnectionDelay: 10 }, "/app");
        const closed = next(s, "disconnect");
        const again = next(s, "connect");
        mistake(s);
        const [reason, details] = await closed;
        assert.equal(reason, "transport close", what);
        if (name !== "polling") {
          assert.equal(details.description, "websocket connection closed", what);
          assert.deepEqual([details.context.code, String(details.context.reason)], [code, text], what);
        }
        await again; // it comes back by itself
        assert.equal(await call(s, "echo", "back"), "back", what);
      }
    });

    if (name === "polling") test("a POST that is too large is a transport error as ever", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const closed = next(s, "disconnect");
      s.emit("silent", "x".repeat(1_100_000));
      const [reason, details] = await closed;
      assert.equal(reason, "transport error");
      assert.equal(details.description, 413);
    });

    test("refusals have a code and a message, whatever is wrong", async (t) => {
      const s = await new Clients(t).connected(how, "/table");
      assert.equal(await call(s, "double", 21), 42);
      for (const [args, code] of [
        [["nosuch"], "unknown_event"], [["double"], "bad_arguments"], [["double", "x"], "bad_arguments"],
        [["double", Buffer.from([1])], "bad_arguments"], [["fail"], "nope"], [["bytes", "text"], "bad_arguments"],
      ]) {
        const answer = await call(s, ...args);
        assert.equal(answer.ok, false, JSON.stringify(args));
        assert.equal(answer.error.code, code, JSON.stringify(args));
        assert.ok(answer.error.message.length > 3);
      }
      for (const [args, message] of [
        [["double"], "double: want 1 argument, got 0"],
        [["double", "x"], "double: argument 1: want a whole number, got a string"],
        [["double", 1.5], "double: argument 1: want a whole number, got 1.5"],
        [["double", Buffer.from([1])], "double: argument 1: want a whole number, got binary data"],
        [["bytes", { length: 3 }], "bytes: argument 1: want binary data, got an object"],
      ]) assert.equal((await call(s, ...args)).error.message, message);
      assert.equal(await call(s, "bytes", Buffer.from([1, 2, 3])), 3);
    });

    test("binary both ways: every kind of it, nested, empty and large", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const shared = bytes(64);
      const values = [
        bytes(1), Buffer.alloc(0), new Uint8Array(bytes(300)), shared.subarray(10, 20),
        new Uint8Array(shared.buffer, shared.byteOffset, 5), bytes(100).buffer.slice(0, 0), bytes(90_000),
      ];
      if (parser) values.splice(4, 1); // the package sends all of the buffer behind a part of it
      const back = await new Promise((resolve) => s.emit("echo", ...values, (...got) => resolve(got)));
      assert.deepEqual(as(back), as(values));

      const nested = { a: [bytes(3), "x", { b: Buffer.alloc(0) }], c: null, d: [[new Uint8Array([7])]] };
      const got = await call(s, "echo", nested);
      assert.deepEqual(as([got.a[0], got.a[2].b, got.d[0][0]]), [bytes(3), Buffer.alloc(0), Buffer.from([7])]);
      assert.deepEqual([got.a[1], got.c], ["x", null]);

      const blob = next(s, "blob");
      s.emit("send blob");
      const [first, tree] = await blob;
      assert.deepEqual(Buffer.from(first), Buffer.from("first"));
      assert.deepEqual(Buffer.from(tree.list[0]), Buffer.from("second"));
      assert.equal(tree.list[1], "text");

      // Texts and binary packets keep their order.
      const order = [];
      await Promise.all(Array.from({ length: 60 }, async (_, i) => {
        const sent = i % 3 ? i : Buffer.from([i]);
        const answer = await call(s, "echo", sent);
        order.push(typeof answer === "number" ? answer : Buffer.from(answer)[0]);
      }));
      assert.deepEqual(order, Array.from({ length: 60 }, (_, i) => i));
    });

    test("what is sent while the transport changes arrives, in order, both ways", async (t) => {
      for (let round = 0; round < 5; round++) {
        const s = new Clients(t).make(how, "/app");
        const numbers = record(s, "number");
        await next(s, "connect");
        const order = [];
        const sends = Array.from({ length: 200 }, async (_, i) => {
          const answer = await call(s, "echo", i % 5 ? i : Buffer.from([i]));
          order.push(i % 5 ? answer : Buffer.from(answer)[0]);
        });
        s.emit("count", 300);
        await Promise.all(sends);
        assert.deepEqual(order, Array.from({ length: 200 }, (_, i) => i));
        await numbers.until(300);
        assert.deepEqual(numbers.map(([, n]) => (typeof n === "number" ? n : Buffer.from(n).readUInt16BE())), Array.from({ length: 300 }, (_, i) => i));
        s.disconnect();
      }
    });

    test("CONNECT_ERROR with data; the client may try again", async (t) => {
      const s = new Clients(t).make({ ...how, auth: { token: "bad" } }, "/guarded");
      const [err] = await next(s, "connect_error");
      assert.equal(err.message, "not authorized");
      assert.deepEqual(err.data, { code: "E_AUTH", retry: false });
      assert.equal(s.connected, false);
      s.auth = { token: "good" };
      const ok = next(s, "connect");
      s.connect();
      await ok;
      assert.equal(await call(s, "echo", 1), 1);

      const none = new Clients(t).make(how, "/no/such");
      assert.equal((await next(none, "connect_error"))[0].message, "Invalid namespace");
    });

    test("several namespaces share one connection", async (t) => {
      const m = new Manager(url, { ...how, reconnection: false });
      t.after(() => m._close());
      const app = m.socket("/app");
      const table = m.socket("/table");
      const guarded = m.socket("/guarded", { auth: { token: "good" } });
      const refused = m.socket("/no/such");
      await Promise.all([next(app, "connect"), next(table, "connect"), next(guarded, "connect"), next(refused, "connect_error")]);
      assert.equal(new Set([app.id, table.id, guarded.id]).size, 3);
      // Each counts its own ack ids.
      assert.deepEqual(await Promise.all([call(app, "echo", "a"), call(table, "double", 1), call(guarded, "echo", "g")]), ["a", 2, "g"]);
      // Binary packets of one do not mix with texts of another.
      const mixed = await Promise.all(Array.from({ length: 30 }, (_, i) => (i % 2 ? call(app, "echo", bytes(50)) : call(table, "double", i))));
      mixed.forEach((got, i) => assert.deepEqual(i % 2 ? Buffer.from(got) : got, i % 2 ? bytes(50) : 2 * i));

      const gone = next(app, "disconnect");
      app.emit("disconnect me");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await call(table, "double", 4), 8);
      const back = next(app, "connect");
      app.connect();
      await back;
      assert.equal(await call(app, "echo", 2), 2);
    });

    test("disconnecting: both sides learn why", async (t) => {
      const clients = new Clients(t);
      const watcher = await clients.connected(how, "/app");
      const left = (id) => next(watcher, "left", (who) => who === id);

      const a = await clients.connected(how, "/app");
      let seen = left(a.id);
      let gone = next(a, "disconnect");
      a.emit("disconnect me");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal((await seen)[1], "enough of you");
      assert.equal(a.active, false, "after the server's goodbye the client stays away");

      const b = await clients.connected(how, "/app");
      seen = left(b.id);
      gone = next(b, "disconnect");
      b.disconnect();
      assert.equal((await gone)[0], "io client disconnect");
      // Over polling the close packet of the connection can be the faster one of the two requests.
      assert.match((await seen)[1], name === "polling" ? /^(client namespace disconnect|transport close)$/ : /^client namespace disconnect$/);

      const c = await clients.connected(how, "/app");
      seen = left(c.id);
      gone = next(c, "disconnect");
      c.io.engine.close();
      assert.equal((await gone)[0], "forced close");
      assert.equal((await seen)[1], "transport close");

      const d = await clients.connected(how, "/app");
      seen = left(d.id);
      gone = next(d, "disconnect");
      d.io.engine.write("2[broken"); // no Socket.IO packet
      assert.match((await gone)[0], /^transport (close|error)$/);
      assert.equal((await seen)[1], "forced close");
    });

    test("a client comes back after its connection was cut", async (t) => {
      const clients = new Clients(t);
      const s = clients.make({ ...how, reconnection: true, reconnectionDelay: 20, reconnectionDelayMax: 50 }, "/app");
      await next(s, "connect");
      for (let round = 0; round < 3; round++) {
        await upgraded(s); // the client may hang when the new transport breaks during the change
        const old = s.id;
        const gone = next(s, "disconnect");
        const back = next(s, "connect");
        s.emit("cut everybody off");
        assert.match((await gone)[0], /^transport (close|error)$/);
        assert.equal(s.active, true);
        const buffered = call(s, "echo", `round ${round}`); // is sent when it is back
        await back;
        assert.notEqual(s.id, old);
        assert.equal(await buffered, `round ${round}`);
      }
    });

    test("volatile events, both ways", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const ticks = record(s, "tick");
      // Over polling one is lost whenever no request happens to wait.
      for (let i = 0; ticks.length === 0; i++) {
        assert.ok(i < 200, "no volatile event arrives");
        assert.equal(await call(s, "tick", i), "ticked");
      }
      if (name !== "polling") assert.deepEqual(ticks[0], ["tick", 0]);
      s.volatile.emit("note", "heard");
      for (let i = 0; !(await call(s, "notes")).includes("heard"); i++) {
        assert.ok(i < 200, "the client's volatile event does not arrive");
        s.volatile.emit("note", "heard");
      }
    });

    test("a handler that panics ends its own session", async (t) => {
      const clients = new Clients(t);
      const [a, b] = [await clients.connected(how, "/app"), await clients.connected(how, "/app")];
      const gone = next(a, "disconnect");
      a.emit("panic");
      assert.equal((await gone)[0], "io server disconnect");
      assert.equal(await call(b, "echo", 1), 1);
      const back = next(a, "connect");
      a.connect();
      await back;
      assert.equal(await call(a, "echo", 2), 2);
    });

    if (parser) test("what JSON does not have: dates, undefined, and as many binary values as one likes", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const args = [new Date(1500), undefined, { a: undefined, b: [undefined] }, NaN, new Float64Array([1])];
      const [date, nothing, object, nan, floats] = await soon(new Promise((resolve) => s.emit("echo", ...args, (...got) => resolve(got))), "an echo");
      assert.deepEqual([date, nothing, object, nan], ["1970-01-01T00:00:01.500Z", null, { b: [null] }, null]);
      assert.deepEqual(Buffer.from(floats), Buffer.from(args[4].buffer));
      const many = Array.from({ length: 100 }, (_, i) => Buffer.from([i]));
      const back = await soon(new Promise((resolve) => s.emit("echo", ...many, (...got) => resolve(got))), "100 binary values");
      assert.deepEqual(as(back), many);
    });

    if (!parser) test("more attachments than the protocol allows close the connection", async (t) => {
      const s = await new Clients(t).connected(how, "/app");
      const gone = next(s, "disconnect");
      s.emit("echo", ...Array.from({ length: 11 }, () => Buffer.from([1])));
      assert.match((await gone)[0], /^transport (close|error)$/);
      const ten = Array.from({ length: 10 }, (_, i) => Buffer.from([i]));
      const other = await new Clients(t).connected(how, "/app");
      const back = await soon(new Promise((resolve) => other.emit("echo", ...ten, (...got) => resolve(got))), "ten attachments");
      assert.deepEqual(as(back), ten);
    });
  });
}
