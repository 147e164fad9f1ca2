// The ticker: one room a price. Watching a card joins its room, which makes the server subscribe to it at the
// publisher; the last who looks away makes it cancel, a while later.

import { io } from "socket.io-client";
import { Card } from "./card.js";

const symbols = [
  ["OAK", "Oakridge Timber"], ["TIDE", "Tidewater Power"], ["LARK", "Lark & Sons"], ["IRON", "Ironbridge Works"],
  ["MOSS", "Mossfield Foods"], ["ONYX", "Onyx Optics"], ["FERN", "Fernhill Health"], ["GALE", "Galewind Air"],
];
const first = ["OAK", "TIDE", "LARK"]; // watched by who has never been here
const past = 100;                      // prices of the past to draw, as far as the server has them
const key = "greenroom-ticker";

const $ = (id) => document.getElementById(id);
const socket = io({ auth: { name: "ticker" }, reconnectionDelay: 500, reconnectionDelayMax: 4000 });
const room = (symbol) => `prices.${symbol}`;
const cards = new Map(symbols.map(([symbol, name]) => [symbol, new Card($("card"), symbol, name, (on) => watch(symbol, on))]));
$("board").append(...[...cards.values()].map((c) => c.element));

function remembered() {
  try {
    const list = JSON.parse(localStorage.getItem(key));
    if (Array.isArray(list)) return list;
  } catch { /* a browser may refuse */ }
  return first;
}

function remember() {
  try {
    localStorage.setItem(key, JSON.stringify(watched()));
  } catch { /* then it is forgotten */ }
}

const watched = () => [...cards].filter(([, c]) => c.watched).map(([symbol]) => symbol);

function watch(symbol, on) {
  const card = cards.get(symbol);
  if (card.watched === on) return;
  card.watch(on);
  remember();
  count();
  if (!socket.connected) return; // connect does it
  if (on) join(symbol);
  else socket.emit("leave", room(symbol));
}

async function join(symbol) {
  const card = cards.get(symbol);
  try {
    const answer = await socket.timeout(10_000).emitWithAck("join", room(symbol), { history: past, retained: true });
    if (!answer.ok) return card.say(answer.error?.message ?? "not allowed");
    // The value that the server retains is there for who comes first; whoever comes later gets the line as well.
    const kept = [...(answer.messages ?? []), ...(answer.retained ? [answer.retained] : [])];
    card.begin(kept.filter((m) => m.event === "price").map((m) => m.data ?? m.args?.[0]));
  } catch {
    if (socket.connected && card.watched) card.say("no answer yet");
  }
}

function count() {
  const n = watched().length;
  $("count").textContent = n === 0 ? "Nothing is watched: the publisher is silent." : `${n} of ${cards.size} watched`;
}

function state(name) {
  $("state").dataset.state = name;
  $("state").querySelector(".label").textContent = name;
}

socket.on("connect", () => {
  state("connected");
  watched().forEach(join);
});
socket.on("disconnect", () => state("reconnecting"));
socket.on("connect_error", () => state(socket.active ? "reconnecting" : "disconnected"));
socket.on("price", (price) => cards.get(price?.symbol)?.add(price));
$("all").addEventListener("click", () => symbols.forEach(([symbol]) => watch(symbol, true)));
$("none").addEventListener("click", () => symbols.forEach(([symbol]) => watch(symbol, false)));
remembered().forEach((symbol) => cards.has(symbol) && watch(symbol, true));
count();
