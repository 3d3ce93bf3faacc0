// The raw prompt of a room: shown, edited, split into tokens, continued.

import { get, goToLogin, guarded, path, post, showError } from "./api.js";
import { byId, el, fill, perFrame } from "./dom.js";
import { loadPeople } from "./dialogs.js";
import { parser } from "./events.js";
import { cloneMark, face } from "./faces.js";
import { roomUrl, titleOf } from "./rooms-list.js";

const roomChoice = byId("room-choice");
const person = byId("person");
const prompt = byId("prompt");
let running = null;
let said = "";

const api = (...segments) => path("api", "rooms", roomChoice.value, ...segments);
const show = perFrame(() => {
  byId("output").textContent = said;
});

function problem(text) {
  byId("problem").hidden = !text;
  byId("problem").textContent = text;
  prompt.setAttribute("aria-invalid", String(Boolean(text)));
}

/** Errors about the prompt stand beside it. */
const checked = (run) => guarded(async () => {
  problem("");
  try {
    await run();
  } catch (error) {
    if (error.status !== 400) throw error;
    problem(error.message);
  }
});

const load = checked(async () => {
  if (!roomChoice.value || !person.value) return;
  byId("to-chat").href = roomUrl(roomChoice.value);
  const { text } = await get(`${api("prompt")}?person=${encodeURIComponent(person.value)}`);
  prompt.value = text;
  byId("answer").hidden = byId("tokens").hidden = byId("append").hidden = true;
});

const go = checked(async () => {
  running?.abort();
  const mine = (running = new AbortController());
  said = "";
  show();
  const answer = await fetch(api("prompt"), {
    method: "POST",
    headers: { "Content-Type": "application/json", Accept: "text/event-stream" },
    body: JSON.stringify({ person: person.value, text: prompt.value }),
    signal: mine.signal,
  });
  if (answer.status === 401) return goToLogin();
  if (!answer.ok) {
    const { error } = await answer.json();
    problem(error.message);
    return undefined;
  }
  fill(byId("speaker"), face(person.value), el("bdi", {}, person.value), cloneMark());
  byId("answer").hidden = false;
  byId("stop").hidden = false;
  byId("status").textContent = `${person.value} is speaking`;
  const feed = parser(({ kind, data }) => {
    const { text, error } = JSON.parse(data);
    if (kind === "piece") said += text;
    if (kind === "failed") problem(error.message);
    show();
  });
  try {
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) feed(part.value);
  } catch (error) {
    if (error.name !== "AbortError") throw error;
  } finally {
    byId("stop").hidden = true;
    byId("append").hidden = said === "";
    byId("status").textContent = said ? `${person.value} said: ${said}` : "";
  }
  return undefined;
});

const showTokens = checked(async () => {
  const { tokens, next } = await post(api("prompt", "tokens"), { person: person.value, text: prompt.value });
  byId("tokens").hidden = false;
  byId("tokens-title").textContent = `${tokens.length} tokens`;
  fill(byId("token-list"), tokens.map(([number, text]) => el("span", { title: `token ${number}` }, text)));
  byId("next-tokens").hidden = next === null;
  fill(byId("chances"), (next ?? []).map(([text, chance]) => el("tr", {}, el("td", { class: "mono" }, JSON.stringify(text)), el("td", { class: "number" }, `${(100 * chance).toFixed(1)} %`), el("td", {}, el("meter", { min: 0, max: 1, value: chance, "aria-label": `${(100 * chance).toFixed(1)} %` })))));
});

byId("form").addEventListener("submit", (event) => {
  event.preventDefault();
  go();
});
byId("stop").addEventListener("click", () => running?.abort());
byId("show-tokens").addEventListener("click", showTokens);
byId("reload").addEventListener("click", load);
byId("append").addEventListener("click", () => {
  prompt.value = `${prompt.value.trimEnd()} ${said}`;
  byId("append").hidden = true;
  prompt.focus();
});
roomChoice.addEventListener("change", load);
person.addEventListener("change", load);

guarded(async () => {
  const [{ rooms }, people] = await Promise.all([get("/api/rooms"), loadPeople()]);
  const wanted = new URLSearchParams(location.search);
  fill(roomChoice, rooms.map((room) => el("option", { value: room.id }, titleOf(room))));
  if (rooms.some(({ id }) => id === wanted.get("room"))) roomChoice.value = wanted.get("room");
  fill(person, people.personas.map((name) => el("option", { value: name }, name)));
  const room = rooms.find(({ id }) => id === roomChoice.value);
  if (!room) return problem("There is no chat yet: begin one on the chat page.");
  const last = room.last?.person;
  person.value = wanted.get("person") ?? room.personas.find((name) => name !== last && people.personas.includes(name)) ?? people.personas[0];
  return load();
})().catch(showError);
