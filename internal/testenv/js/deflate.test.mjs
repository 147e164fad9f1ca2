// Compressed WebSocket messages between the official client and a server with permessage-deflate. The server is the
// one of transports/socketio's tests, which start this script; see TestOfficialClientCompressed there.
import assert from "node:assert/strict";
import { randomBytes } from "node:crypto";
import test, { suite } from "node:test";
import { call, Clients, next, transports } from "./client.mjs";

const text = JSON.stringify(Array.from({ length: 2000 }, (_, i) => ({ id: i, name: "ann", text: "hällo 😀" })));

/** The WebSocket below a client, and the bytes that came and went on it. */
const below = (socket) => socket.io.engine.transport.ws;
const traffic = (socket) => ({ received: below(socket)._socket.bytesRead, sent: below(socket)._socket.bytesWritten });

for (const [name, how] of Object.entries(transports)) {
  suite(name, () => {
    test("both sides compress", async (t) => {
      const s = await new Clients(t).connected(how);
      assert.equal(below(s).extensions, "permessage-deflate");
      const before = traffic(s);
      assert.equal(await call(s, "echo", text), text);
      const after = traffic(s);
      for (const way of ["received", "sent"]) {
        const bytes = after[way] - before[way];
        assert.ok(bytes < text.length / 4, `${way} ${bytes} bytes for ${text.length}`);
      }
      assert.equal(await call(s, "echo", "short"), "short");
    });

    test("what cannot be compressed arrives, too, as binary and in one message with what can", async (t) => {
      const s = await new Clients(t).connected(how);
      const noise = randomBytes(50_000);
      const zeros = Buffer.alloc(100_000);
      const back = await call(s, "echo", { noise, list: [zeros, text, Buffer.alloc(0)] });
      assert.deepEqual(Buffer.from(back.noise), noise);
      assert.deepEqual(Buffer.from(back.list[0]), zeros);
      assert.equal(back.list[1], text);
      assert.equal(back.list[2].length, 0);
    });

    test("many messages in a row keep their order", async (t) => {
      const s = await new Clients(t).connected(how);
      const sizes = Array.from({ length: 50 }, (_, i) => (i * 7919) % 20_000);
      const got = await Promise.all(sizes.map((n) => call(s, "echo", n, text.slice(0, n)).then(() => n)));
      assert.deepEqual(got, sizes);
      assert.deepEqual(await call(s, "order"), sizes);
    });

    test("a room holds clients with and without compression", async (t) => {
      const clients = new Clients(t);
      const packed = [await clients.connected(how), await clients.connected(how)];
      const plain = await clients.connected({ ...how, perMessageDeflate: false });
      const polling = await clients.connected({ transports: ["polling"] });
      assert.equal(below(plain).extensions, "");
      const all = [...packed, plain, polling];
      for (const [event, fits] of [
        ["cast", (bytes) => bytes < text.length / 4],
        ["cast uncompressed", (bytes) => bytes > text.length],
      ]) {
        const before = packed.map(traffic);
        const news = all.map((s) => next(s, "news"));
        await call(polling, event, text);
        for (const [got] of await Promise.all(news)) assert.equal(got, text);
        packed.forEach((s, i) => {
          const bytes = traffic(s).received - before[i].received;
          assert.ok(fits(bytes), `${event}: ${bytes} bytes for ${text.length}`);
        });
      }
    });

    test("without context take-over or a window of its own choice", async (t) => {
      for (const perMessageDeflate of [
        { threshold: 0 }, { threshold: 0, clientNoContextTakeover: true, serverNoContextTakeover: true },
        { threshold: 0, clientMaxWindowBits: 10 }, { threshold: 0, serverMaxWindowBits: 15 },
      ]) {
        const s = await new Clients(t).connected({ ...how, perMessageDeflate });
        assert.equal(below(s).extensions, "permessage-deflate");
        for (const part of [text, "", "x", text]) assert.equal(await call(s, "echo", part), part);
      }
      const s = await new Clients(t).connected({ ...how, perMessageDeflate: { threshold: 0, serverMaxWindowBits: 9 } });
      assert.equal(below(s).extensions, "", "frames are shared, so the window is the largest or there is no compression");
      assert.equal(await call(s, "echo", text), text);
    });
  });
}
