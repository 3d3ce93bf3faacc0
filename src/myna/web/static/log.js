// The messages of a room as elements, in order, each built once. At most eight elements each.

import { el, when } from "./dom.js";
import { cloneMark, face, hue } from "./faces.js";

const SAME_GROUP_MS = 5 * 60_000;

/** Everything shown of a room's messages; `log` is the element with role=log. */
export class Log {
  constructor(log, { isMine, onMenu, onVersion, onQuote }) {
    this.log = log;
    this.actions = { isMine, onMenu, onVersion, onQuote };
    this.messages = new Map(); // id → message
    this.nodes = new Map(); // id → element
    this.versions = new Map(); // turn → numbers
    this.switched = new Set(); // turns that have had a switch of versions
    this.live = null; // the bubble of who speaks now
  }

  clear() {
    this.messages.clear();
    this.nodes.clear();
    this.versions.clear();
    this.live = null;
    this.log.replaceChildren();
  }

  /** The messages in order. */
  get all() {
    return [...this.messages.values()].sort((a, b) => a.turn - b.turn || a.id - b.id);
  }

  /** Add messages, each in its place. One that is there already is drawn anew. */
  add(messages) {
    let hint = null;
    for (const message of messages) {
      const known = this.nodes.get(message.id);
      this.messages.set(message.id, message);
      const node = this.#draw(message);
      this.nodes.set(message.id, node);
      if (known) known.replaceWith(node);
      else this.#place(node, message.turn, message.id, hint);
      hint = node;
    }
    const nodes = messages.flatMap(({ id }) => [this.nodes.get(id), this.#next(this.nodes.get(id))]);
    this.#regroup(nodes.filter(Boolean));
    for (const turn of new Set(messages.map((m) => m.turn))) this.#drawVersions(turn);
  }

  remove(id) {
    const node = this.nodes.get(id);
    if (!node) return;
    const next = this.#next(node);
    const turn = this.messages.get(id).turn;
    node.remove();
    this.nodes.delete(id);
    this.messages.delete(id);
    if (next) this.#regroup([next]);
    this.#drawVersions(turn);
  }

  /** Show these messages as a turn, in place of all others of it. */
  replaceTurn(turn, messages, versions) {
    if (versions.length > 1) this.versions.set(turn, versions);
    else this.versions.delete(turn);
    const hadFocus = this.log.contains(document.activeElement) && Number(document.activeElement.closest(".message")?.dataset.turn) === turn;
    const kept = new Set(messages.map((m) => m.id));
    for (const m of this.all) if (m.turn === turn && !kept.has(m.id)) this.remove(m.id);
    this.add(messages);
    this.#drawVersions(turn);
    if (hadFocus && messages.length) this.nodes.get(messages.at(-1).id).querySelector(".versions button:last-child, .more")?.focus();
  }

  /** Show who speaks; `speaking` as the server gives it, or null. */
  speak(speaking) {
    const before = this.continued;
    if (before && (!speaking || speaking.continues !== before)) this.#restore(before);
    this.continued = speaking?.continues && this.messages.has(speaking.continues) ? speaking.continues : null;
    if (!speaking || this.continued) {
      this.live?.remove();
      this.live = null;
      if (speaking) this.say(speaking.text, speaking);
      return;
    }
    this.live?.remove();
    this.text = document.createTextNode(speaking.text);
    this.dots = el("span", { class: "dots", hidden: speaking.text !== "" }, el("i"), el("i"), el("i"));
    this.live = el(
      "div",
      { class: "message live", "aria-hidden": "true", data: { turn: speaking.turn, person: speaking.person } },
      face(speaking.person),
      el("div", { class: "bubble" }, el("b", { class: `name name-${hue(speaking.person)}` }, el("bdi", {}, speaking.person), cloneMark()), this.dots, el("p", { dir: "auto" }, this.text)),
    );
    this.#place(this.live, speaking.turn, Infinity);
    this.#regroup([this.live]);
  }

  /** Set the text of what is being said. */
  say(text, speaking) {
    if (this.continued) {
      const message = this.messages.get(this.continued);
      const p = this.nodes.get(this.continued)?.querySelector(".text");
      if (p) p.textContent = message.text + text;
      return;
    }
    if (!this.live) this.speak(speaking);
    this.text.data = text;
    this.dots.hidden = text !== "";
  }

  #restore(id) {
    const message = this.messages.get(id);
    if (message) this.nodes.get(id).querySelector(".text").textContent = message.text;
  }

  #draw(message) {
    const { isMine, onMenu, onQuote } = this.actions;
    const mine = isMine(message);
    const quoted = message.reply_to === null ? null : this.messages.get(message.reply_to);
    const name = el("b", { class: `name name-${hue(message.person)}` }, el("bdi", {}, message.person), message.by_clone && cloneMark());
    const quote = message.reply_to !== null && el(
      "button",
      { class: "quote", type: "button", onclick: () => onQuote(message.reply_to) },
      quoted ? `${quoted.person}: ${quoted.text}` : "A message that is not here",
    );
    const more = el("button", { class: "more plain", type: "button", "aria-label": `Actions for the message of ${message.person}`, "aria-haspopup": "menu", onclick: (event) => onMenu(message, event.currentTarget) }, "⋯");
    return el(
      "div",
      { class: `message${mine ? " mine" : ""}`, role: "article", data: { id: message.id, turn: message.turn, person: message.person, at: message.said_at } },
      face(message.person),
      el("div", { class: "bubble", title: `${when(message.said_at)}${message.revision ? " · edited" : ""}` }, name, quote, el("p", { class: "text", dir: "auto" }, message.text)),
      more,
    );
  }

  #drawVersions(turn) {
    if (!this.versions.has(turn) && !this.switched.has(turn)) return;
    this.switched.add(turn);
    const nodes = [...this.log.querySelectorAll(`.message[data-turn="${turn}"]:not(.live)`)];
    for (const node of nodes) node.querySelector(".versions")?.remove();
    const numbers = this.versions.get(turn);
    const last = nodes.at(-1);
    if (!numbers || !last) return;
    const shown = numbers.indexOf(this.messages.get(Number(last.dataset.id)).version);
    const step = (by, label, sign) =>
      el("button", { class: "plain", type: "button", "aria-label": label, disabled: !numbers[shown + by], onclick: () => this.actions.onVersion(turn, numbers[shown + by]) }, sign);
    last.append(el("span", { class: "versions", role: "group", "aria-label": "Versions of this turn" }, step(-1, "Version before", "‹"), ` ${shown + 1} of ${numbers.length} `, step(1, "Next version", "›")));
  }

  /** Insert an element behind all of earlier turns, and of smaller ids in its own; `hint` is a likely place. */
  #place(node, turn, id, hint = null) {
    const isAfter = (other) => Number(other.dataset.turn) > turn || (Number(other.dataset.turn) === turn && (other.classList.contains("live") || Number(other.dataset.id) > id));
    const first = this.log.firstElementChild;
    if (!first || isAfter(first)) return this.log.prepend(node);
    if (hint && !isAfter(hint) && (!hint.nextElementSibling || isAfter(hint.nextElementSibling))) return hint.after(node);
    let before = this.log.lastElementChild;
    while (isAfter(before)) before = before.previousElementSibling;
    return before.after(node);
  }

  #next(node) {
    return node?.nextElementSibling ?? null;
  }

  /** Face and name stand at the first of several messages of one person. */
  #regroup(nodes) {
    for (const node of nodes) {
      const before = node.previousElementSibling;
      const isSame = before && before.dataset.person === node.dataset.person && (node.classList.contains("live") || new Date(node.dataset.at) - new Date(before.dataset.at) < SAME_GROUP_MS);
      node.classList.toggle("follows", Boolean(isSame));
    }
  }
}
