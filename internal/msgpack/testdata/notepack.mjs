// Writes notepack.json: what the encoder and decoder inside socket.io-msgpack-parser 3.0.2 make of values.
//
//	npm install --no-save notepack.io@2.2.0 && node notepack.mjs > notepack.json
//
// js is the value for people, hex its msgpack; json and binaries are what the decoder makes of that, as JSON.stringify
// writes it, with placeholders for what is binary. same: the JSON holds all that the value did, in the same types.
import notepack from "notepack.io";
import { inspect } from "node:util";

function form(value) {
  const binaries = [];
  const place = (v) => {
    if (Buffer.isBuffer(v) || v instanceof ArrayBuffer) {
      binaries.push(Buffer.from(v).toString("hex"));
      return { _placeholder: true, num: binaries.length - 1 };
    }
    if (Array.isArray(v)) return v.map(place);
    if (v !== null && typeof v === "object" && !(v instanceof Date)) {
      return Object.fromEntries(Object.entries(v).map(([k, x]) => [k, place(x)]));
    }
    return v;
  };
  return { json: JSON.stringify(place(value)), binaries };
}

const long = (n) => "ü".repeat(n);
// Integers beyond 2^53 are missing: the encoder writes some of them wrong, and nothing from 2^64 on.
const same = [
  0, 1, 127, 128, 255, 256, 65535, 65536, 4294967295, 4294967296, 2 ** 53 - 1, 2 ** 53,
  -1, -32, -33, -128, -129, -32768, -32769, -2147483648, -2147483649, -(2 ** 53),
  0.5, -0.5, 1.5, 0.1, 1e-6, 1e-7, 1.5e-9, 1.25e-100, 5e-324, 123456789.125,
  "", "a", "</script>", "\u2028\u2029", '"\\/', "\b\f\n\r\t\0\x1f\x7f\x1e", "é€😀", "__proto__",
  long(15), long(16), long(127), long(128),
  true, false, null, [], {}, [[]], [{}], { "": {} }, { a: { b: [1, { c: null }] } }, { "ü\n": 1 },
  Array.from({ length: 15 }, (_, i) => i), Array.from({ length: 16 }, (_, i) => i),
  Object.fromEntries(Array.from({ length: 15 }, (_, i) => [`k${i}`, i])),
  Object.fromEntries(Array.from({ length: 16 }, (_, i) => [`k${i}`, i])),
  Buffer.alloc(0), Buffer.from([1]), [Buffer.from("one"), { two: [Buffer.from("two")] }], Buffer.alloc(256),
  [Buffer.from([1]), Buffer.from([2]), { a: Buffer.from([3]) }],
  { _placeholder: true, num: 0 },
];
const other = [
  -0, NaN, Infinity, -Infinity,
  undefined, [undefined], { a: undefined }, { a: undefined, b: 1 }, { a: 1, b: undefined, c: 2, d: undefined },
  [new Date(0), new Date(1500), new Date(-1), new Date(2 ** 40), new Date("0000-01-01T00:00:00.000Z"), new Date("-000001-12-31T23:59:59.999Z"),
    new Date("+010000-01-01T00:00:00.000Z"), new Date(8.64e15), new Date(-8.64e15)],
  [new Uint8Array(0), new Uint8Array([7]), new Uint8Array(2), new Uint8Array(4), new Uint8Array(8), new Uint8Array(16), new Uint8Array([1, 2, 3]).buffer],
  new Uint8Array(256), new Float64Array([1]),
];
// What its encoder does not write, but its decoder reads.
const read = [
  "ca3dcccccd", "ca00000000", "ca7f800000", "cb8000000000000000", "d000", "d1ffff", "d27fffffff", "d3000000000000000a", "cc05", "cd0005", "ce00000005",
  "cf0020000000000000",
  "d40105", "d4ff05", "d5000102", "d60001020304", "d6ff00000000", "d7010102030405060708", "d7ffffffffffffffffff", "d80000112233445566778899aabbccddeeff",
  "c70301010203", "c70000", "c8000105aa", "c900000001f6aa", "c70cff000000000000000000000000", "d8030102030405060708090a0b0c0d0e0f10", "d7040102030405060708",
  "810a01", "81d1000a01", "81ff01", "82a16101a16202", "d90161", "da000161", "db0000000161", "dc0001c0", "dd00000001c0", "de0001a16101", "df00000001a16101",
  "c50001aa", "c600000001aa", "d7007fffffffffffffff",
];

const short = (v) => inspect(v, { breakLength: Infinity, compact: true, maxArrayLength: 16, maxStringLength: 40 });
const cut = (s) => (s.length > 200 ? `${s.slice(0, 200)}…` : s);
const out = [];
for (const v of same) out.push({ js: cut(short(v)), hex: notepack.encode(v).toString("hex"), ...form(v), same: true });
for (const v of other) {
  const hex = notepack.encode(v).toString("hex");
  out.push({ js: cut(short(v)), hex, ...form(notepack.decode(Buffer.from(hex, "hex"))) });
}
for (const hex of read) {
  const v = notepack.decode(Buffer.from(hex, "hex"));
  out.push({ js: cut(short(v)), hex, ...form(v) });
}
process.stdout.write(`[\n${out.map((v) => JSON.stringify(v)).join(",\n")}\n]\n`);
