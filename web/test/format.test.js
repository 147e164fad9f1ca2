import assert from "node:assert/strict";
import test from "node:test";
import * as f from "../src/format.js";

test("names: verified, claimed, short id", () => {
  assert.equal(f.displayName({ id: "abcdef", name: "Ann", user: "ann@example" }), "ann@example");
  assert.equal(f.displayName({ id: "abcdef", name: "Ann" }), "Ann");
  assert.equal(f.displayName({ id: "abcdef" }), "guest abcd");
  assert.equal(f.displayName(undefined), "somebody");
  assert.equal(f.authorOf({ id: "server" }, "zeromq"), "publisher");
  assert.equal(f.authorOf({ id: "server" }, undefined), "server");
  assert.equal(f.authorOf({ id: "x", name: "feed" }, "zeromq"), "feed");
});

test("initials keep whole characters", () => {
  assert.equal(f.initialOf(" ann"), "A");
  assert.equal(f.initialOf("👩‍🚀 Zoe"), "👩‍🚀");
  assert.equal(f.initialOf(""), "·");
});

test("lists of names", () => {
  assert.equal(f.listNames([]), "");
  assert.equal(f.listNames(["Ann"]), "Ann");
  assert.equal(f.listNames(["Ann", "Bo", "Cy"]), "Ann, Bo and Cy");
  assert.equal(f.listNames(["Ann", "Bo", "Cy", "Di"]), "Ann, Bo and 2 others");
});

test("compact JSON", () => {
  assert.equal(f.compactJSON({ eur: 4.2, up: true, of: [1, null, "a\"b"] }), '{"eur": 4.2, "up": true, "of": [1, null, "a\\"b"]}');
  assert.equal(f.compactJSON("text"), '"text"');
  assert.equal(f.compactJSON(undefined), "null");
  assert.equal(f.compactJSON(new Uint8Array([1, 2, 3])), "‹3 bytes›");
  assert.equal(f.compactJSON({ raw: new ArrayBuffer(1) }), '{"raw": ‹1 byte›}');
  assert.equal(f.compactJSON({ size: 4 }), '{"size": 4}');
  assert.ok(f.compactJSON("x".repeat(10_000)).length < 5_000);
  let deep = 1;
  for (let i = 0; i < 5_000; i++) deep = [deep];
  assert.ok(f.compactJSON(deep).includes("…"));
});

test("pieces of JSON add up to the whole", () => {
  for (const value of [{ eur: 4.2, "a:b": [true, null, -1e-7], s: "x\\\"" }, "word true 12", [], "‹", "x".repeat(9_000)]) {
    const text = f.compactJSON(value);
    assert.equal(f.jsonPieces(text).map(([, s]) => s).join(""), text);
  }
  assert.deepEqual(f.jsonPieces('{"eur": 4.2}'), [["mark", "{"], ["key", '"eur"'], ["mark", ":"], ["mark", " "], ["number", "4.2"], ["mark", "}"]]);
});

test("time of a message", () => {
  assert.equal(f.timeOf({ at: 1_700_000_000_000 }), 1_700_000_000_000);
  assert.equal(f.timeOf({ at: "2026-01-02T03:04:05Z" }), Date.UTC(2026, 0, 2, 3, 4, 5));
  assert.equal(f.timeOf({}, 7), 7);
  assert.equal(f.timeOf({ at: "soon" }, 7), 7);
});

test("the Python snippet names any room rightly", () => {
  assert.match(f.pythonSnippet("lobby"), /send_multipart\(\[b"lobby", b"hello"\]\)/);
  assert.match(f.pythonSnippet('a"b\\'), /b"a\\"b\\\\"/);
  assert.match(f.pythonSnippet("café"), /"café"\.encode\(\)/);
});
