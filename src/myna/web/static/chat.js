// The chat page: one room at a time, as its events tell.

import { ApiError, call, get, guarded, notify, path, post, remove, showError } from "./api.js";
import { compareDialog } from "./compare.js";
import { confirmDialog, editMessage, editPeople, loadPeople, newRoom, roomId } from "./dialogs.js";
import { byId, el, fill, perFrame } from "./dom.js";
import { follow } from "./events.js";
import { face, listed } from "./faces.js";
import { Log } from "./log.js";
import { RoomsList, faces, roomUrl, titleOf } from "./rooms-list.js";
import { shareDialog } from "./share.js";

const PAGE = 200; // messages loaded at once
const NEAR_END_PX = 80;
const TYPING_EVERY_MS = 2500;
const AT_ONCE = { headers: { Prefer: "respond-async" } };
const ANSWERS = { turns: 3, until_human: true };

const scroller = byId("scroller");
const input = byId("text");
const state = { id: null, room: null, me: "Me", stream: null, speaking: null, said: "", quoting: null, hasOlder: false, lost: false, typing: new Map(), lastTyping: 0 };
let people = { personas: [], me: "Me", may_set_audience: false };

const log = new Log(byId("log"), {
  isMine: (message) => !message.by_clone && message.person === state.me,
  onMenu: openMenu,
  onVersion: guarded((turn, version) => call("PUT", api("turns", turn, "version"), { version })),
  onQuote: guarded((id) => reveal(id)),
});
const list = new RoomsList({ list: byId("room-list"), found: byId("found"), search: byId("search"), open: guarded(openRoom) });

const api = (...segments) => path("api", "rooms", state.id, ...segments);

// Opening a room

async function openRoom(id, message = null, { push = true } = {}) {
  if (push) history.pushState(null, "", roomUrl(id, message));
  if (id !== state.id) {
    close();
    state.id = id;
    await load();
    input.value = "";
    grow();
    if (matchMedia("(hover: hover)").matches && !message) input.focus();
  }
  if (message) await reveal(Number(message));
}

function close() {
  state.stream?.close();
  Object.assign(state, { id: null, room: null, stream: null, speaking: null, quoting: null, lost: false });
  state.typing.clear();
  log.clear();
  document.body.classList.remove("in-room");
  byId("room").hidden = true;
  byId("nothing").hidden = false;
  list.mark(null);
}

/** Read a room from the start, then follow its events from there. */
async function load() {
  const id = state.id;
  const [room, page] = await Promise.all([get(api()), get(`${api("messages")}?last=${PAGE}`)]);
  if (id !== state.id) return;
  state.stream?.close();
  document.body.classList.add("in-room");
  byId("nothing").hidden = true;
  byId("room").hidden = false;
  log.clear();
  setRoom(room);
  showPage(page);
  setSpeaking(page.speaking);
  toEnd();
  list.mark(id);
  state.stream = follow(api("events"), { after: page.last_event, on: onEvent, state: onConnection });
}

/** The name of who sits here, in a room: as chosen for it, or as usual if nobody else is there. */
function nameIn({ id, humans }) {
  const usual = localStorage.getItem("myna-me") ?? people.me;
  const chosen = localStorage.getItem(`myna-me ${id}`);
  return chosen ?? (humans.length === 1 && !humans.includes(usual) ? humans[0] : usual);
}

function setRoom(room) {
  state.room = room;
  const before = state.me;
  state.me = nameIn(room);
  if (before !== state.me) log.add(log.all);
  document.title = `${titleOf({ ...room, personas: room.personas })} · myna`;
  byId("room-title").textContent = titleOf(room);
  byId("room-people").textContent = room.title ? listed(room.members) : room.humans.length ? `with ${listed(room.humans)}` : "";
  fill(byId("faces"), faces(room.personas));
  const { is_on: isOn, speed } = room.playing;
  const play = byId("play");
  play.setAttribute("aria-pressed", String(isOn));
  play.setAttribute("aria-label", isOn ? "Pause" : "Play: let them talk among themselves");
  fill(play, isOn ? "❚❚ " : "▶ ", el("span", {}, isOn ? "Pause" : "Play"));
  byId("speed").hidden = !isOn;
  byId("speed").value = String(speed);
  const speakers = room.personas.map((name) => el("button", { class: "plain", type: "button", title: `${name} speaks now`, "aria-label": `${name} speaks now`, data: { person: name } }, face(name, "small")));
  if (String(room.personas) !== byId("speakers").dataset.personas) fill(byId("speakers"), speakers);
  byId("speakers").dataset.personas = String(room.personas);
  byId("suggest").hidden = !people.personas.includes(state.me);
  showStatus();
}

function showPage(page) {
  for (const [turn, numbers] of Object.entries(page.versions)) log.versions.set(Number(turn), numbers);
  log.add(page.messages);
  state.hasOlder = page.has_older;
  byId("older").hidden = !page.has_older;
  showEmpty();
}

const showEmpty = () => {
  byId("begin").hidden = log.messages.size > 0 || state.speaking !== null;
};

const loadOlder = guarded(async () => {
  const [first] = log.all;
  if (!first || !state.hasOlder || state.loadingOlder) return;
  state.loadingOlder = true;
  try {
    const page = await get(`${api("messages")}?last=${PAGE}&before=${first.id}`);
    const fromEnd = scroller.scrollHeight - scroller.scrollTop; // not every browser anchors
    showPage(page);
    scroller.scrollTop = scroller.scrollHeight - fromEnd;
  } finally {
    state.loadingOlder = false;
  }
});

/** Scroll to a message, older pages read as far as that takes. */
async function reveal(id) {
  while (!log.nodes.has(id) && state.hasOlder) await loadOlder();
  const node = log.nodes.get(id);
  if (!node) return notify("This message is not here any more.", "problem");
  node.scrollIntoView({ block: "center" });
  node.classList.add("found-message");
  setTimeout(() => node.classList.remove("found-message"), 2500);
  return undefined;
}

// Events

const handlers = {
  room: ({ room }) => setRoom(room),
  speaking: (speaking) => setSpeaking({ ...speaking, text: "" }),
  piece: ({ text, ...speaking }) => {
    if (!state.speaking) setSpeaking({ ...speaking, text: "" });
    state.said = (state.said + text).replace(/^\n/, "");
    showSaid();
  },
  message: ({ message }) => {
    state.typing.delete(message.person);
    if (state.speaking?.turn === message.turn) setSpeaking({ ...state.speaking, continues: undefined, text: "" });
    log.add([message]);
    list.touch(state.id, message);
    showEmpty();
    showStatus();
    followEnd();
  },
  edited: ({ message }) => {
    const isLonger = state.speaking?.continues === message.id;
    if (log.messages.has(message.id)) log.add([message]);
    if (isLonger) setSpeaking({ ...state.speaking, continues: undefined, text: "" });
  },
  deleted: ({ id }) => {
    log.remove(id);
    if (state.quoting?.id === id) quote(null);
    showEmpty();
  },
  turn: ({ turn, messages, versions }) => {
    log.replaceTurn(turn, messages, versions);
    if (state.speaking) log.speak({ ...state.speaking, text: state.said });
    followEnd();
  },
  silent: () => setSpeaking(null),
  failed: ({ message }) => notify(message, "problem"),
  forgotten: () => notify("The clones begin anew from here; the messages stay."),
  typing: ({ person, seconds }) => {
    if (person === state.me) return;
    state.typing.set(person, Date.now() + seconds * 1000);
    setTimeout(showStatus, seconds * 1000 + 50);
    showStatus();
  },
  dropped: () => gone(),
  reset: guarded(() => load()),
};

const onEvent = (kind, data) => handlers[kind]?.(data);

function onConnection(is) {
  state.lost = is === "waiting";
  if (is === "gone") gone();
  showStatus();
}

function gone() {
  notify("This chat was deleted.");
  close();
  history.replaceState(null, "", "/");
  list.load().catch(showError);
}

function setSpeaking(speaking) {
  state.speaking = speaking;
  state.said = speaking?.text ?? "";
  log.speak(speaking);
  byId("stop").hidden = speaking === null;
  showEmpty();
  showStatus();
  followEnd();
}

const showSaid = perFrame(() => {
  if (!state.speaking) return;
  log.say(state.said, state.speaking);
  followEnd();
});

function showStatus() {
  const now = Date.now();
  const typing = [...state.typing].filter(([, until]) => until > now).map(([person]) => person);
  const line = byId("status");
  line.classList.toggle("problem", state.lost);
  let text = "";
  if (state.lost) text = "The connection is lost; it will be tried again.";
  else if (state.speaking) text = `${state.speaking.person} (clone) is typing…`;
  else if (typing.length) text = `${listed(typing)} ${typing.length === 1 ? "is" : "are"} typing…`;
  else if (state.room && !state.room.personas.length) text = "No clone is here: tap the title to bring some in.";
  if (line.textContent !== text) line.textContent = text;
}

// Scrolling: the end is followed only by who is there

let atEnd = true;
scroller.addEventListener("scroll", () => {
  atEnd = scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < NEAR_END_PX;
  byId("newest").hidden = atEnd;
  if (scroller.scrollTop < 200) loadOlder();
}, { passive: true });
const toEnd = () => {
  scroller.scrollTop = scroller.scrollHeight;
  atEnd = true;
  byId("newest").hidden = true;
};
const followEnd = perFrame(() => {
  if (atEnd) toEnd();
  else byId("newest").hidden = false;
});
new ResizeObserver(() => atEnd && toEnd()).observe(scroller);

// The composer

const grow = () => {
  input.style.height = "auto";
  input.style.height = `${input.scrollHeight + 2}px`;
};

function quote(message) {
  state.quoting = message;
  byId("quoting").hidden = message === null;
  byId("quoted").textContent = message ? `${message.person}: ${message.text}` : "";
  if (message) input.focus();
}

const send = guarded(async () => {
  const text = input.value;
  if (!text.trim()) return nextTurn();
  const body = { person: state.me, text, ...(state.quoting && { reply_to: state.quoting.id }) };
  input.value = "";
  grow();
  atEnd = true;
  try {
    await post(api("say"), body);
  } catch (error) {
    input.value ||= text; // nothing typed is lost
    grow();
    throw error;
  }
  quote(null);
  if (!state.room.playing.is_on && state.room.personas.length) await answer(api("play"), ANSWERS);
  return undefined;
});

/** Ask for a turn; where several wait already, that is answer enough. */
async function answer(where, body) {
  try {
    await post(where, body, AT_ONCE);
  } catch (error) {
    if (!(error instanceof ApiError) || error.code !== "speaking") throw error;
  }
}

const nextTurn = () => answer(api("speak"), {});

byId("composer").addEventListener("submit", (event) => {
  event.preventDefault();
  send();
});
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  } else if (event.key === "Escape" && state.quoting) quote(null);
  else if (event.key === "ArrowUp" && !input.value) {
    const mine = log.all.filter((message) => !message.by_clone && message.person === state.me).at(-1);
    if (mine) {
      event.preventDefault();
      edit(mine);
    }
  }
});
input.addEventListener("input", () => {
  grow();
  if (Date.now() - state.lastTyping < TYPING_EVERY_MS || !input.value) return;
  state.lastTyping = Date.now();
  post(api("typing"), { name: state.me }).catch(() => {}); // a hint, no more
});
byId("unquote").addEventListener("click", () => quote(null));
byId("next").addEventListener("click", guarded(nextTurn));
byId("speakers").addEventListener("click", guarded((event) => {
  const { person } = event.target.closest("button")?.dataset ?? {};
  return person && answer(api("speak"), { person });
}));
byId("retry").addEventListener("click", guarded(() => post(api("retry"), {}, AT_ONCE)));
byId("continue").addEventListener("click", guarded(() => post(api("continue"), {}, AT_ONCE)));
byId("stop").addEventListener("click", guarded(() => post(api("stop"))));
byId("suggest").addEventListener("click", guarded(async () => {
  const button = byId("suggest");
  button.disabled = true;
  try {
    const { text } = await post(api("suggest"), { name: state.me });
    input.value = text;
    grow();
    input.focus();
  } finally {
    button.disabled = false;
  }
}));
byId("newest").addEventListener("click", toEnd);
byId("older").addEventListener("click", loadOlder);
scroller.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
  const switches = [...document.querySelectorAll(".versions")];
  const button = switches.at(-1)?.querySelectorAll("button")[event.key === "ArrowLeft" ? 0 : 1];
  if (button && !button.disabled) button.click();
});

// The head of the room

const setPlaying = guarded(async (on) => {
  const speed = Number(byId("speed").value);
  setRoom(await call("PUT", api("playing"), { on, speed }));
});
byId("play").addEventListener("click", () => setPlaying(!state.room.playing.is_on));
byId("speed").addEventListener("change", () => setPlaying(true));
byId("people").addEventListener("click", guarded(async () => {
  people = await loadPeople();
  editPeople(state.room, people, state.me, guarded(async (name) => {
    localStorage.setItem(`myna-me ${state.id}`, name);
    setRoom(await get(api()));
    await list.load();
  }));
}));
byId("begin-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const topic = byId("topic").value.trim();
  const { messages } = await post(api("begin"), { topic });
  if (messages.length) return answer(api("speak"), {});
  return notify(topic ? `Nobody talked about ${topic} in the chats kept for this.` : "There is no real moment to begin with: write something.", "problem");
}));
byId("new-room").addEventListener("click", guarded(async () => {
  people = await loadPeople();
  newRoom(people, localStorage.getItem("myna-me") ?? people.me, guarded(async (id, name) => {
    localStorage.setItem("myna-me", name);
    localStorage.setItem(`myna-me ${id}`, name);
    await list.load();
    await openRoom(id);
  }));
}));

// Menus: one element, filled for what was tapped

function showMenu(anchor, items) {
  const menu = byId("menu");
  fill(menu, items.map(([label, run, extra]) => el("button", { type: "button", role: "menuitem", class: extra ?? "", onclick: () => {
    menu.hidePopover();
    guarded(run)();
  } }, label)));
  menu.showPopover();
  const at = anchor.getBoundingClientRect();
  menu.style.position = "fixed";
  menu.style.inset = "auto";
  menu.style.left = `${Math.max(8, Math.min(at.left, innerWidth - menu.offsetWidth - 8))}px`;
  menu.style.top = `${at.bottom + menu.offsetHeight + 8 < innerHeight ? at.bottom + 4 : Math.max(8, at.top - menu.offsetHeight - 4)}px`;
  menu.firstElementChild.focus();
  menu.onkeydown = (event) => {
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (!step) return;
    event.preventDefault();
    const all = [...menu.children];
    all.at((all.indexOf(document.activeElement) + step) % all.length).focus();
  };
}

const edit = (message) => editMessage(api(), message, () => input.focus());

function openMenu(message, anchor) {
  const turn = { turn: message.turn };
  showMenu(anchor, [
    ["Reply", () => quote(message)],
    ["Copy", () => copy(message)],
    ["Edit", () => edit(message)],
    ["Branch from here", () => branch(message)],
    ...(message.by_clone
      ? [
          ["Retry this turn", () => post(api("retry"), turn, AT_ONCE)],
          ["Continue this turn", () => post(api("continue"), turn, AT_ONCE)],
          ["Beside the base model", () => compareDialog(api(), message)],
        ]
      : []),
    ["Delete", () => remove(api("messages", message.id)), "danger"],
  ]);
}

/** Go on in a copy of the chat up to a message. */
async function branch(message) {
  const id = roomId();
  await post(api("messages", message.id, "branch"), { id });
  localStorage.setItem(`myna-me ${id}`, state.me);
  await list.load();
  await openRoom(id);
}

async function copy(message) {
  const text = `${message.person}${message.by_clone ? " (clone)" : ""}: ${message.text}`;
  try {
    await navigator.clipboard.writeText(text);
    notify("Copied.");
  } catch {
    notify("This browser does not let the page copy: use Share, then Copy text.", "problem");
  }
}

byId("room-more").addEventListener("click", (event) => {
  showMenu(event.currentTarget, [
    ["Share…", () => shareDialog(api(), titleOf(state.room), log.all, (m) => !m.by_clone && m.person === state.me)],
    ["Raw prompt", () => location.assign(`/prompt?room=${encodeURIComponent(state.id)}`)],
    byId("log").ariaLive === "off"
      ? ["Read new messages aloud", () => { byId("log").ariaLive = "polite"; }]
      : ["Do not read new messages aloud", () => { byId("log").ariaLive = "off"; }],
    ["Begin anew for the clones", () => post(api("forget"))],
    ["Delete this chat", () => confirmDialog("Delete this chat?", "All its messages are erased, for everybody who reads it.", "Delete", () => remove(api())), "danger"],
  ]);
});

// The start

function fromAddress() {
  const query = new URLSearchParams(location.search);
  const id = query.get("room");
  if (id) return openRoom(id, query.get("message"), { push: false });
  close();
  return list.load();
}

addEventListener("popstate", guarded(fromAddress));
document.querySelector(".back").addEventListener("click", (event) => {
  event.preventDefault();
  history.pushState(null, "", "/");
  close();
  list.load().catch(showError);
});
document.addEventListener("visibilitychange", () => {
  if (!document.hidden) list.load().catch(() => {}); // the stream tells if the server is away
});

await guarded(async () => {
  [people] = await Promise.all([loadPeople(), list.load()]);
  state.me = localStorage.getItem("myna-me") ?? people.me;
  await fromAddress();
})();
