import assert from "node:assert/strict";
import { EventEmitter } from "node:events";
import test from "node:test";
import { Room } from "../src/room.js";

// A server and a connection in one: answers calls by hand, so that every order of things can be tried.
class FakeSocket extends EventEmitter {
  calls = [];
  active = true;
  connected = false;
  any = () => {};
  onAny(fn) { this.any = fn; }
  timeout() { return this; }
  emit(event, ...args) {
    if (event === "publish") return this.calls.push({ name: event, args, answer() {} });
    return super.emit(event, ...args);
  }
  emitWithAck(name, ...args) {
    return new Promise((resolve, reject) => this.calls.push({ name, args, answer: resolve, fail: reject }));
  }
  up(id) {
    this.id = id;
    this.connected = true;
    super.emit("connect");
  }
  down() {
    this.connected = false;
    super.emit("disconnect", "transport close");
    for (const c of this.calls.splice(0)) c.fail?.(new Error("disconnected"));
  }
  async take(name) { // the oldest call, once everything that is due has run
    await new Promise(setImmediate);
    const call = this.calls.shift();
    assert.equal(call?.name, name);
    return call;
  }
}

function setUp() {
  const told = [];
  const on = new Proxy({}, { get: (_, name) => (...args) => told.push([name, ...args]) });
  const socket = new FakeSocket();
  const room = new Room(socket, "lobby", new Set(), on);
  const texts = () => told.filter(([n]) => n === "messages").flatMap(([, list]) => list.map((m) => m.args[0]));
  const names = () => told.map(([n]) => n);
  return { told, socket, room, texts, names };
}

const meta = (n, from = { id: "other", name: "Bo" }) => ({ room: "lobby", id: `e-${n}`, from, at: 1_700_000_000_000 + n });
const past = (n, data, from) => ({ id: `e-${n}`, event: "message", data, meta: meta(n, from) });
const idle = () => new Promise(setImmediate);

test("joining: the past first, then what came meanwhile, each once", async () => {
  const { socket, texts, told } = setUp();
  socket.up("s1");
  const join = await socket.take("join");
  assert.deepEqual(join.args, ["lobby", { history: 50, presence: true }]);
  socket.any("message", "two", meta(2));
  socket.any("message", "three", meta(3));
  assert.deepEqual(texts(), []);
  join.answer({ ok: true, members: [{ id: "s1" }], messages: [past(1, "one"), past(2, "two")] });
  await idle();
  assert.deepEqual(texts(), ["one", "two", "three"]);
  assert.deepEqual(told.at(-1), ["state", "connected"]);
});

test("a server with recovery: its offset behind the arguments is not part of the message", async () => {
  const { socket, texts } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true, members: [], messages: [] });
  await idle();
  socket.any("message", "one", meta(1), "1795665833094-0");
  socket.any("message", "two", meta(2));
  assert.deepEqual(texts(), ["one", "two"]);
});

test("coming back: joins again, fetches page by page what was missed, shows nothing twice", async () => {
  const { socket, texts, names } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true, members: [], messages: [past(1, "one")] });
  await idle();
  socket.down();
  assert.ok(names().includes("state"));
  socket.up("s2");
  const join = await socket.take("join");
  assert.deepEqual(join.args, ["lobby", { presence: true }]);
  join.answer({ ok: true, members: [] });
  const first = await socket.take("history");
  assert.equal(first.args[1].after, "e-1");
  socket.any("message", "four", meta(4));
  first.answer({ ok: true, messages: [past(2, "two"), past(3, "three")], complete: true });
  const second = await socket.take("history");
  assert.equal(second.args[1].after, "e-3");
  second.answer({ ok: true, messages: [past(4, "four")], complete: true });
  (await socket.take("history")).answer({ ok: true, messages: [], complete: true });
  await idle();
  assert.deepEqual(texts(), ["one", "two", "three", "four"]);
  assert.ok(!names().includes("gap"));
});

test("a gap that the server admits is told", async () => {
  const { socket, names, texts } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true, messages: [past(1, "one")] });
  await idle();
  socket.down();
  socket.up("s2");
  (await socket.take("join")).answer({ ok: true });
  (await socket.take("history")).answer({ ok: true, messages: [past(90, "late")], complete: false });
  (await socket.take("history")).answer({ ok: true, messages: [], complete: true });
  await idle();
  assert.deepEqual(texts(), ["one", "late"]);
  assert.ok(names().includes("gap"));
});

test("sending: confirmed, refused with the server's words, retried", async () => {
  const { socket, room, told } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true });
  await idle();
  room.send("hello");
  (await socket.take("publish")).answer({ ok: true, id: "e-1" });
  await idle();
  assert.deepEqual(told.at(-1).slice(0, 1).concat(told.at(-1)[2]), ["delivered", "e-1"]);
  room.send("no");
  (await socket.take("publish")).answer({ ok: false, error: { code: "forbidden", message: "not here" } });
  await idle();
  const [event, outgoing, why] = told.at(-1);
  assert.deepEqual([event, why], ["failed", "not here"]);
  room.retry(outgoing);
  (await socket.take("publish")).answer({ ok: true, id: "e-2" });
  await idle();
  assert.equal(told.at(-1)[0], "delivered");
});

test("what was under way when the connection went is sent again only if it did not arrive", async () => {
  const { socket, room, told, texts } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true, messages: [past(1, "one")] });
  await idle();
  room.send("arrived");
  room.send("lost");
  socket.down();
  room.send("written meanwhile");
  await idle();
  assert.equal(socket.calls.length, 0);
  socket.up("s2");
  (await socket.take("join")).answer({ ok: true });
  (await socket.take("history")).answer({ ok: true, messages: [past(2, "arrived", { id: "s1" })], complete: true });
  (await socket.take("history")).answer({ ok: true, messages: [], complete: true });
  assert.equal((await socket.take("publish")).args[2], "lost");
  assert.equal((await socket.take("publish")).args[2], "written meanwhile");
  assert.equal(told.filter(([n]) => n === "delivered").length, 1);
  assert.deepEqual(texts(), ["one"]);
});

test("presence: repeated updates change nothing, our own comings are not told", async () => {
  const { socket, told } = setUp();
  socket.up("s1");
  const join = await socket.take("join");
  socket.any("presence", { room: "lobby", joined: [{ id: "s1" }, { id: "b", name: "Bo" }], left: [] });
  join.answer({ ok: true, members: [{ id: "s1" }, { id: "b", name: "Bo" }] });
  await idle();
  const came = () => told.filter(([n]) => n === "came");
  assert.equal(came().length, 0);
  socket.any("presence", { room: "lobby", joined: [{ id: "c" }], left: [] });
  socket.any("presence", { room: "lobby", joined: [{ id: "c" }] });
  socket.any("presence", { room: "lobby", joined: [], left: [{ id: "b" }, { id: "never here" }] });
  assert.deepEqual(came(), [["came", [{ id: "c" }], []], ["came", [], [{ id: "b" }]]]);
  assert.deepEqual(told.filter(([n]) => n === "members").at(-1)[1], [{ id: "s1" }, { id: "c" }]);
});

test("typing is told and never shown as a message; other rooms are not ours", async () => {
  const { socket, room, told, texts } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: true, messages: [{ id: "e-1", event: "typing", data: true, meta: meta(1) }] });
  await idle();
  socket.any("typing", true, meta(2));
  socket.any("message", "elsewhere", { ...meta(3), room: "other" });
  assert.deepEqual(texts(), []);
  assert.deepEqual(told.filter(([n]) => n === "typing"), [["typing", { id: "other", name: "Bo" }, true]]);
  room.typing(true);
  room.typing(true);
  room.typing(false);
  room.typing(false);
  assert.deepEqual(socket.calls.map((c) => c.args), [["lobby", "typing", true, { volatile: true }], ["lobby", "typing", false, { volatile: true }]]);
});

test("a refused join and a refused connection are told in the server's words", async () => {
  const { socket, told } = setUp();
  socket.up("s1");
  (await socket.take("join")).answer({ ok: false, error: { code: "forbidden", message: "members only" } });
  await idle();
  assert.deepEqual(told.at(-1), ["refused", "members only"]);
  socket.active = false;
  socket.listeners("connect_error")[0](new Error("not allowed"));
  assert.deepEqual(told.at(-1), ["state", "disconnected", "The server refused: not allowed"]);
});
