// A guest's side of the game: the door, the rounds, the table. It knows nothing else.

import { get, guarded, post, showError } from "./api.js";
import { byId, fill } from "./dom.js";
import { follow } from "./events.js";
import { pointsTable, roundView } from "./round.js";

let stream = null;
const form = byId("door");
const round = roundView(byId("round"), guarded(async (guess) => draw(await post("/api/guest/guess", guess))));

function draw(game) {
  form.hidden = true;
  byId("inside").hidden = false;
  const { state } = game.you;
  byId("status").textContent = state === "waiting" ? "The owner lets you in: wait a moment." : state === "refused" ? "You are not in this game." : game.is_over ? "That was the game." : game.round ? "" : "You are in. The first card comes when the owner begins.";
  byId("round").hidden = !game.round;
  round.show(game.round, game.rounds);
  fill(byId("points"), game.table.length ? pointsTable(game.table) : "");
  byId("table").hidden = !game.table.length;
}

function showDoor() {
  stream?.close();
  stream = null;
  form.hidden = false;
  byId("inside").hidden = true;
}

function watch() {
  stream?.close();
  stream = follow("/api/guest/events", {
    on: (kind, data) => (kind === "game" ? draw(data) : showDoor()),
    state: (now) => {
      byId("connection").hidden = now !== "waiting";
      if (now === "gone") showDoor();
    },
  });
}

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  byId("refused").hidden = true;
  try {
    await post("/api/guest/join", { code: form.elements.code.value, name: form.elements.name.value });
    watch();
  } catch (error) {
    if (error.status !== 403 && error.status !== 404) return showError(error);
    byId("refused").textContent = error.message;
    byId("refused").hidden = false;
  }
  return undefined;
});

const code = new URLSearchParams(location.hash.slice(1)).get("code");
if (code) form.elements.code.value = code;
if ((await get("/api/guest/joined")).joined) watch();
else showDoor();
