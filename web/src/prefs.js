// What the demo remembers: the name and the room, in the address and in the browser.

/** @returns {{name: string, room: string, complete: boolean}} complete: enter without asking */
export function load() {
  const asked = new URLSearchParams(location.search);
  const name = asked.get("name")?.trim() || stored("name");
  const room = asked.get("room")?.trim() || stored("room");
  return { name, room: room || "lobby", complete: Boolean(name && (asked.get("room") || room)) };
}

/** Remembers both, and puts the room into the address so that it can be shared. The name stays out of it. */
export function save(name, room) {
  try {
    localStorage.setItem("greenroom.name", name);
    localStorage.setItem("greenroom.room", room);
  } catch {
    // Storage may be refused (private window, full): then the demo asks again next time.
  }
  const url = new URL(location.href);
  url.searchParams.set("room", room);
  if (url.searchParams.has("name")) url.searchParams.set("name", name);
  history.replaceState(null, "", url);
}

/** The session ids this tab has had, so that what it wrote before a reload is still its own. */
export function ourIds() {
  try {
    return new Set(JSON.parse(sessionStorage.getItem("greenroom.ids") ?? "[]"));
  } catch {
    return new Set();
  }
}

export function saveOurIds(ids) {
  try {
    sessionStorage.setItem("greenroom.ids", JSON.stringify([...ids].slice(-20)));
  } catch {
    // Then a reload shows one's own older messages like anybody's.
  }
}

function stored(key) {
  try {
    return localStorage.getItem(`greenroom.${key}`) ?? "";
  } catch {
    return "";
  }
}
