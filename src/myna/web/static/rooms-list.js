// The list of rooms with their last lines, and search in all of them.

import { get, guarded } from "./api.js";
import { el, fill, when } from "./dom.js";
import { face, listed } from "./faces.js";

const SEARCH_WAIT_MS = 200;

/** The name that a room is shown by. */
export const titleOf = (room) => room.title || listed(room.personas) || room.id;

/** The address of a room's chat. */
export const roomUrl = (id, message) => `/?room=${encodeURIComponent(id)}${message ? `&message=${message}` : ""}`;

export const faces = (names, most = 3) => names.slice(0, most).map((name) => face(name, names.length > 1 ? "small" : ""));

const line = (message) => `${message.person}${message.by_clone ? " (clone)" : ""}: ${message.text}`;

export class RoomsList {
  constructor({ list, found, search, open }) {
    Object.assign(this, { list, found, search, open });
    this.rooms = [];
    this.current = null;
    let timer;
    search.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(guarded(() => this.#search()), SEARCH_WAIT_MS);
    });
  }

  async load() {
    this.rooms = (await get("/api/rooms")).rooms;
    this.draw();
  }

  /** Mark a room as the open one. */
  mark(id) {
    this.current = id;
    this.draw();
  }

  /** Show a new last line without asking the server. */
  touch(id, message) {
    const room = this.rooms.find((one) => one.id === id);
    if (!room) return;
    room.last = message;
    this.rooms = [room, ...this.rooms.filter((one) => one !== room)];
    this.draw();
  }

  draw() {
    const focused = this.list.contains(document.activeElement) ? document.activeElement.dataset.room : null;
    fill(this.list, this.rooms.map((room) => this.#item(room, room.last && room.last, titleOf(room))));
    if (!this.rooms.length) fill(this.list, el("li", { class: "note" }, "No chats yet."));
    if (focused !== null) this.list.querySelector(`[data-room="${CSS.escape(focused)}"]`)?.focus();
  }

  #item(room, message, title, toMessage) {
    return el(
      "li",
      {},
      el(
        "a",
        {
          href: roomUrl(room.id, toMessage),
          "aria-current": room.id === this.current && !toMessage ? "true" : null,
          data: { room: room.id },
          onclick: (event) => {
            if (event.ctrlKey || event.metaKey || event.shiftKey) return;
            event.preventDefault();
            this.open(room.id, toMessage);
          },
        },
        el("span", { class: "faces" }, faces(room.personas.length ? room.personas : [title], 2)),
        el("span", { class: "title", dir: "auto" }, title),
        el("small", {}, message ? when(message.said_at) : ""),
        el("span", { class: "last", dir: "auto" }, message ? line(message) : "Nothing said yet"),
      ),
    );
  }

  async #search() {
    const words = this.search.value.trim();
    this.found.hidden = words === "";
    this.list.hidden = words !== "";
    if (!words) return;
    const { messages } = await get(`/api/search?q=${encodeURIComponent(words)}`);
    if (words !== this.search.value.trim()) return;
    const byId = new Map(this.rooms.map((room) => [room.id, room]));
    const items = messages.map((message) => {
      const room = byId.get(message.room) ?? { id: message.room, title: "", personas: [] };
      return this.#item(room, message, titleOf(room), message.id);
    });
    fill(this.found, items.length ? items : el("li", { class: "note" }, "Nothing found."));
  }
}
