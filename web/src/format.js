// Plain functions from values to what people read. No DOM in here.

/** The name to show for a member: the verified user, the claimed name, or a short id. */
export function displayName(who) {
  const name = who?.user || who?.name;
  if (name) return String(name);
  return who?.id ? `guest ${String(who.id).slice(0, 4)}` : "somebody";
}

/** The name to show for a message. Publishers behind ZeroMQ and the server itself often have none. */
export function authorOf(from, via) {
  if (from?.user || from?.name) return displayName(from);
  if (via) return "publisher";
  return from?.id === "server" ? "server" : displayName(from);
}

/** A colour of the wheel that stays the same for the same name. */
export function hueOf(name) {
  let h = 2166136261;
  for (const c of name) h = Math.imul(h ^ c.codePointAt(0), 16777619);
  return (h >>> 0) % 360;
}

/** The letter in somebody's circle: the first whole character, so that an emoji stays one. */
export function initialOf(name) {
  const first = [...new Intl.Segmenter(undefined, { granularity: "grapheme" }).segment(name.trim())][0];
  return first ? first.segment.toLocaleUpperCase() : "·";
}

/** "Ann", "Ann and Bo", "Ann, Bo and 3 others". */
export function listNames(names, most = 3) {
  if (names.length <= 1) return names.join("");
  if (names.length > most) return `${names.slice(0, most - 1).join(", ")} and ${names.length - most + 1} others`;
  return `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`;
}

const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
const day = new Intl.DateTimeFormat(undefined, { weekday: "long", day: "numeric", month: "long" });
const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });

export const clockTime = (at) => clock.format(at);
export const fullTime = (at) => full.format(at);

/** The day as a heading: "Today" or "Tuesday, 3 March". */
export function dayName(at, now = Date.now()) {
  return new Date(at).toDateString() === new Date(now).toDateString() ? "Today" : day.format(at);
}

/** When a message was sent, in ms since 1970; meta.at may be a number or an ISO text. */
export function timeOf(meta, fallback = Date.now()) {
  const at = typeof meta?.at === "string" ? Date.parse(meta.at) : Number(meta?.at);
  return Number.isFinite(at) && at > 0 ? at : fallback;
}

const mostShown = 4000; // characters of one value; a longer one would push everything else away

/** A value as one line of JSON with a space after each comma and colon; binary as its size. */
export function compactJSON(value) {
  const shown = binarySize(value) ?? print(value, 0);
  return shown.length > mostShown ? `${shown.slice(0, mostShown)}…` : shown;
}

function binarySize(value) {
  const size = value instanceof ArrayBuffer || ArrayBuffer.isView(value) ? value.byteLength : value?.size;
  return typeof size === "number" && (typeof value.byteLength === "number" || value instanceof Blob)
    ? `‹${size} ${size === 1 ? "byte" : "bytes"}›` : undefined;
}

function print(value, depth) {
  if (value === null || typeof value !== "object") return JSON.stringify(value) ?? "null";
  const binary = binarySize(value);
  if (binary) return binary;
  if (depth > 32) return "…";
  if (Array.isArray(value)) return `[${value.map((v) => print(v, depth + 1)).join(", ")}]`;
  return `{${Object.entries(value).map(([k, v]) => `${JSON.stringify(k)}: ${print(v, depth + 1)}`).join(", ")}}`;
}

/** Cuts JSON text into [kind, text] pieces, for colour: key, string, number, word, mark. */
export function jsonPieces(text) {
  const pieces = [];
  const token = /("(?:[^"\\]|\\.)*"?)(\s*:)?|(-?\d[\d.eE+-]*)|(true|false|null)|([^"\d\-tfn]+|.)/gs;
  for (const [whole, string, colon, number, word] of text.matchAll(token)) {
    if (string && colon) pieces.push(["key", string], ["mark", colon]);
    else pieces.push([string ? "string" : number ? "number" : word ? "word" : "mark", whole]);
  }
  return pieces;
}

/** How to push into this room from Python: the room's name as a bytes literal that is always right. */
export function pythonSnippet(room) {
  const literal = /^[\x20-\x7e]*$/.test(room)
    ? `b"${room.replace(/[\\"]/g, "\\$&")}"` : `${JSON.stringify(room)}.encode()`;
  return [
    "import zmq",
    "s = zmq.Context().socket(zmq.PUSH)",
    's.connect("tcp://127.0.0.1:5560")',
    `s.send_multipart([${literal}, b"hello"])`,
  ].join("\n");
}
