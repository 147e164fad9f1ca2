// The chat demo: puts the parts together. room.js talks to the server, the others show it.

import { io } from "socket.io-client";
import { Composer } from "./composer.js";
import { $ } from "./dom.js";
import { pythonSnippet } from "./format.js";
import { Log } from "./log.js";
import { People } from "./people.js";
import * as prefs from "./prefs.js";
import { Room } from "./room.js";

const labels = {
  connecting: "connecting",
  connected: "connected",
  reconnecting: "reconnecting",
  disconnected: "disconnected",
};

let room;         // the Room we are in
let me = { name: "", room: "" };
let unread = 0;   // messages that came while the tab was hidden

const people = new People();
const composer = new Composer({
  onSend: (text) => room?.send(text),
  onTyping: (on) => room?.typing(on),
  onEscape: () => log.focus(),
});
const log = new Log({
  onWrite: (text) => composer.focus(text),
  onRetry: (o) => room?.retry(o),
});

function enter(name, roomName) {
  room?.close();
  me = { name, room: roomName };
  prefs.save(name, roomName);
  document.body.dataset.view = "room";
  $("change").textContent = `#${roomName}`;
  $("snippet").textContent = pythonSnippet(roomName);
  notice("");
  people.clear();
  log.open(roomName);
  showState("connecting");
  title();

  const ids = prefs.ourIds();
  const socket = io({ auth: { name }, autoConnect: false, reconnectionDelay: 500, reconnectionDelayMax: 4000 });
  room = new Room(socket, roomName, ids, {
    state: showState,
    members(members, ownId) {
      prefs.saveOurIds(ids);
      people.show(members, ownId);
    },
    came: (joined, left) => log.came(joined, left),
    messages(messages, past) {
      log.add(messages, past);
      for (const m of messages) people.typing(m.from, false);
      if (document.hidden && !past) unread += messages.length;
      title();
    },
    sending: (o) => log.sending(o, me.name),
    delivered: (o, id) => log.delivered(o, id),
    failed: (o, why) => log.failed(o, why),
    typing: (who, on) => people.typing(who, on),
    refused: (why) => notice(`You cannot enter #${roomName}: ${why}.`),
    gap: () => log.note("Some messages in between are no longer kept by the server."),
  });
  socket.connect();
  composer.focus();
}

function showState(state, detail = "") {
  const pill = $("state");
  if (pill.dataset.state !== state) {
    pill.dataset.state = state;
    pill.querySelector(".label").textContent = labels[state];
  }
  document.body.dataset.state = state;
  $("again").hidden = state !== "disconnected";
  if (state !== "connected") people.nobodyWrites();
  if (state === "connected") notice("");
  else if (state === "disconnected") notice(detail || "The connection is closed.");
  else if (state === "reconnecting") notice("The connection is gone. What you write now is sent when it is back.");
}

function notice(text) {
  if ($("notice").textContent === text) return;
  $("notice").textContent = text;
  $("notice").hidden = text === "";
}

function title() {
  document.title = `${unread > 0 ? `(${unread}) ` : ""}#${me.room} · Greenroom`;
}

function askAtTheDoor() {
  if ($("door").open) return;
  const known = prefs.load();
  $("name").value = me.name || known.name;
  $("room").value = me.room || known.room;
  $("doorcancel").hidden = !room;
  $("door").showModal();
  ($("name").value ? $("room") : $("name")).select();
}

function help() {
  $("help").showModal();
  $("helpclose").focus();
}

$("doorform").addEventListener("submit", (ev) => {
  const name = $("name").value.trim();
  const roomName = $("room").value.trim();
  const wrong = name === "" ? "Please choose a name." : roomName === "" ? "Please choose a room."
    : roomName.startsWith("$") ? "Room names that begin with $ are reserved." : "";
  $("doorerror").textContent = wrong;
  $("doorerror").hidden = wrong === "";
  if (wrong) {
    ev.preventDefault();
    return;
  }
  if (!room || name !== me.name || roomName !== me.room) enter(name, roomName);
});
$("doorcancel").addEventListener("click", () => $("door").close());
$("door").addEventListener("cancel", (ev) => {
  if (!room) ev.preventDefault(); // there is nothing behind it yet
});
$("door").addEventListener("close", () => (room ? composer.focus() : askAtTheDoor()));
$("help").addEventListener("close", () => composer.focus());
$("change").addEventListener("click", askAtTheDoor);
$("helpbutton").addEventListener("click", help);
$("again").addEventListener("click", () => {
  room?.again();
  composer.focus();
});

document.addEventListener("keydown", (ev) => {
  if ($("door").open || $("help").open) return;
  const writing = ev.target.closest("input, textarea");
  const command = ev.ctrlKey || ev.metaKey;
  if ((command && ev.key === "/") || (ev.key === "?" && !writing)) {
    ev.preventDefault();
    help();
  } else if (command && ev.key.toLowerCase() === "k") {
    ev.preventDefault();
    askAtTheDoor();
  } else if (ev.key === "Escape" && people.isOpen) {
    people.toggle(false);
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) return;
  unread = 0;
  if (room) title();
});

const known = prefs.load();
if (known.complete) enter(known.name, known.room);
else askAtTheDoor();
