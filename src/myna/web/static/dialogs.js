// The dialogs of the chat page: a new chat, the people in one, editing, deleting.

import { ApiError, call, get, guarded, patch, path, post } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { cloneMark, face } from "./faces.js";

/** Open the page's dialog with a title and content; returns a function that closes it. */
export function openDialog(title, ...content) {
  const dialog = byId("dialog");
  const close = () => dialog.close();
  fill(dialog, el("h2", { id: "dialog-title" }, title), ...content);
  dialog.classList.remove("wide");
  dialog.showModal();
  return close;
}

const buttons = (close, label, extra = []) =>
  el("div", { class: "row end" }, extra, el("button", { type: "button", onclick: close }, "Cancel"), el("button", { class: "primary" }, label));

const checks = (names, chosen) =>
  names.map((name) => el("label", { class: "check" }, el("input", { type: "checkbox", name: "persona", value: name, checked: chosen.includes(name) }), face(name, "small"), el("bdi", {}, name), cloneMark()));

const ticked = (form) => [...form.querySelectorAll("[name=persona]:checked")].map((box) => box.value);

/** The id of a new room. */
export function roomId() {
  const now = new Date();
  const two = (number) => String(number).padStart(2, "0");
  const day = `${now.getFullYear()}-${two(now.getMonth() + 1)}-${two(now.getDate())}`;
  // As `myna chat` names its own, so that `myna chat --room last` finds it.
  return `chat ${day} ${two(now.getHours())}:${two(now.getMinutes())}:${two(now.getSeconds())}.${String(now.getMilliseconds()).padStart(3, "0")}`;
}

/** Ask who shall be in a new chat; `done(id)` once it is there. */
export function newRoom(people, me, done) {
  const form = el("form", { method: "dialog" });
  const close = openDialog("New chat", form);
  form.append(
    el("fieldset", {}, el("legend", {}, "Who is there"), checks(people.personas, people.personas)),
    el("label", { for: "new-me" }, "Your name in it"),
    el("input", { id: "new-me", value: me, maxlength: 60, required: true, autocomplete: "off" }),
    el("label", { for: "new-title" }, "Title, if you like"),
    el("input", { id: "new-title", maxlength: 100, autocomplete: "off" }),
    buttons(close, "Begin"),
  );
  form.addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    const name = byId("new-me").value.trim();
    const id = roomId();
    const room = { id, humans: [name], personas: ticked(form) };
    if (people.may_set_audience) room.audience = "owner";
    await post("/api/rooms", room);
    if (byId("new-title").value.trim()) await patch(path("api", "rooms", id), { title: byId("new-title").value });
    close();
    done(id, name);
  }));
}

/** Show and change who is in a room, its title and its day. */
export function editPeople(room, people, me, done) {
  const form = el("form", { method: "dialog" });
  const close = openDialog("About this chat", form);
  const absent = room.settings.personas.filter((name) => !people.personas.includes(name));
  form.append(
    el("label", { for: "title" }, "Title"),
    el("input", { id: "title", value: room.title, maxlength: 100, autocomplete: "off" }),
    el("fieldset", {}, el("legend", {}, "Clones here"), checks(people.personas, room.settings.personas), absent.map((name) => el("p", { class: "soft" }, `${name} may not be cloned now.`))),
    el("p", { class: "soft" }, `People here: ${room.humans.join(", ") || "nobody"}. `, audienceLine(room)),
    el("label", { for: "me" }, "Your name"),
    el("input", { id: "me", value: me, maxlength: 60, required: true, autocomplete: "off" }),
    el("label", { for: "era" }, "Speak as at that time: 2019, 2019-03 or 2019-03-31; empty for today"),
    el("input", { id: "era", value: room.settings.era ?? "", maxlength: 10, autocomplete: "off" }),
    buttons(close, "Save"),
  );
  form.addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    const base = path("api", "rooms", room.id);
    const [title, name, era] = ["title", "me", "era"].map((id) => byId(id).value.trim());
    const changes = { ...(title !== room.title && { title }), ...(era !== (room.settings.era ?? "") && { era }) };
    if (Object.keys(changes).length) await patch(base, changes);
    const chosen = ticked(form);
    for (const one of people.personas) {
      const was = room.settings.personas.includes(one);
      if (was !== chosen.includes(one)) await post(`${base}/${was ? "dismiss" : "summon"}`, { name: one });
    }
    if (name !== me) {
      if (room.humans.includes(me)) await post(`${base}/leave`, { name: me });
      await post(`${base}/join`, { name });
    }
    close();
    done(name);
  }));
}

function audienceLine(room) {
  const audience = room.settings.audience;
  if (audience === "owner") return "Only you read this chat, so memory may use all of yours.";
  if (audience?.length) return `Memory uses only chats where all of these were: ${[...audience, ...room.humans].join(", ")}.`;
  return "It is not known who reads this chat, so nothing is recalled from other chats.";
}

/** Edit a message. Where another tab was faster, show what it wrote, and keep what was typed. */
export function editMessage(roomPath, message, done) {
  const form = el("form", { method: "dialog" });
  const close = openDialog("Edit message", form);
  const text = el("textarea", { id: "edited", rows: 5, maxlength: 20000, dir: "auto", "aria-label": "Text" });
  text.value = message.text;
  const conflict = el("div", { role: "alert" });
  form.append(text, conflict, buttons(close, "Save"));
  text.focus();
  let revision = message.revision;
  form.addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    try {
      const headers = { "If-Match": `"${revision}"` };
      await call("PATCH", `${roomPath}/messages/${message.id}`, { text: text.value }, { headers });
    } catch (error) {
      if (!(error instanceof ApiError) || error.code !== "edit_conflict") throw error;
      revision = error.body.current.revision;
      fill(conflict, el("p", { class: "problem" }, "Somebody else changed it meanwhile. It says now:"), el("p", { class: "said", dir: "auto" }, error.body.current.text), el("p", { class: "soft" }, "Save again to replace that with yours."));
      return;
    }
    close();
    done();
  }));
}

/** Ask before something that cannot be undone. */
export function confirmDialog(title, text, label, run) {
  const form = el("form", { method: "dialog" });
  const close = openDialog(title, form);
  form.append(el("p", {}, text), buttons(close, label));
  form.addEventListener("submit", guarded(async (event) => {
    event.preventDefault();
    await run();
    close();
  }));
}

/** The people and personas of the server. */
export const loadPeople = () => get("/api/personas");
