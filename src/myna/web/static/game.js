// The owner's side of the game: the deck, the door, the rounds, and the table.

import { get, guarded, notify, post } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { follow } from "./events.js";
import { commandLine, jobPanel, showRunning } from "./jobs.js";
import { pointsTable, roundView } from "./round.js";

const JOIN_STATES = { waiting: "waits at the door", playing: "plays", refused: "sent away" };
let state = null;
let cards = [];
let stream = null;
let adapter = null;

const panel = jobPanel({ onEnd: guarded(load) });
byId("job").append(panel.node);
const round = roundView(byId("round"), guarded(async (guess) => draw(await post("/api/game/guess", guess))));

async function load() {
  state = await get("/api/game");
  const known = state.adapters.map((one) => one.adapter);
  adapter = known.includes(adapter) ? adapter : known.includes(state.default) ? state.default : known[0];
  fill(byId("adapter"), known.map((name) => el("option", { value: name }, name)));
  byId("adapter").value = adapter ?? "";
  byId("adapter-row").hidden = known.length < 2;
  const one = state.adapters.find((entry) => entry.adapter === adapter);
  byId("none").hidden = Boolean(one);
  byId("measure-first").hidden = !one || one.has_deck;
  byId("setup").hidden = !one?.has_deck || Boolean(state.game);
  fill(byId("measure-command"), commandLine(`myna evaluate${adapter && adapter !== state.default ? ` --adapter=${adapter}` : ""}`));
  if (one?.has_deck) {
    await loadDeck();
    await loadResults();
  }
  draw(state.game);
}

// The deck.

async function loadDeck() {
  const isPrivate = byId("private").checked;
  const found = await get(`/api/game/deck?adapter=${encodeURIComponent(adapter)}&private=${isPrivate}`);
  cards = found.cards;
  byId("private-count").textContent = `(${found.private})`;
  const unseen = cards.filter((card) => card.is_shown === null).length;
  const shown = cards.filter((card) => card.is_shown).length;
  byId("deck-state").textContent = `${shown} of ${cards.length} cards may be shown${unseen ? `; ${unseen} are not looked through yet` : ""}.`;
  byId("open-game").disabled = shown === 0;
  fill(byId("deck"), cards.map(cardView));
}

function cardView(card) {
  const box = el("input", { type: "checkbox", value: card.key, onchange: (event) => node.classList.toggle("left-out", !event.target.checked) });
  box.checked = card.is_shown !== false;
  const node = el("article", { class: `card ${card.is_shown === false ? "left-out" : ""}` },
    card.before.slice(-2).map(([person, text]) => el("p", { class: "soft", dir: "auto" }, `${person}: ${text}`)),
    card.replies.map((text, i) => el("p", { dir: "auto" }, el("b", {}, `${"AB"[i]} `), text)),
    el("p", { class: "soft" }, card.person, card.is_private ? el("span", { class: "badge bad" }, "a chat of two") : ""),
    el("label", { class: "check" }, box, "may be shown"));
  return node;
}

byId("keep-deck").addEventListener("click", guarded(async () => {
  const boxes = [...byId("deck").querySelectorAll("input")];
  const [shown, hidden] = [true, false].map((on) => boxes.filter((box) => box.checked === on).map((box) => box.value));
  const kept = await post("/api/game/deck", { adapter, shown, hidden });
  notify(`${kept.shown} cards may be shown, ${kept.hidden} may not.`);
  byId("deck-dialog").close();
  await loadDeck();
}));
byId("look").addEventListener("click", () => byId("deck-dialog").showModal());
byId("close-deck").addEventListener("click", () => byId("deck-dialog").close());
byId("private").addEventListener("change", guarded(loadDeck));
byId("adapter").addEventListener("change", guarded((event) => { adapter = event.target.value; return load(); }));
byId("measure").addEventListener("click", guarded(async () => panel.show((await post("/api/reports/evaluate", { adapter })).job)));

// The game.

byId("setup").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const rounds = Number(event.target.elements.rounds.value || 10);
  await post("/api/game/open", { adapter, rounds, private: byId("private").checked });
  if (byId("play-too").checked) await post("/api/game/play");
  await load();
}));

function draw(game) {
  byId("game").hidden = !game;
  byId("setup").hidden = Boolean(game) || !state.adapters.find((one) => one.adapter === adapter)?.has_deck;
  if (!game) {
    stream?.close();
    stream = null;
    return;
  }
  if (!stream) stream = follow("/api/game/events", { on: (kind, data) => (kind === "game" ? draw(data) : guarded(load)()), state: (now) => { if (now === "gone") { stream = null; guarded(load)(); } } });
  byId("code").textContent = game.code ?? "closed";
  byId("code").setAttribute("aria-label", game.code ? [...game.code].join(" ") : "closed");
  fill(byId("address"), state.address ? ["Friends in the same network open ", el("b", {}, state.address), " and type the code, or follow the link ", el("code", { class: "link" }, `${state.address}#code=${game.code ?? ""}`), "."]
    : ["Only this machine can connect now. For friends in the same network, start it as ", el("code", {}, "myna serve --host 0.0.0.0 --key-file FILE"), "; a second browser here opens ", el("a", { href: "/join", target: "_blank", rel: "noopener" }, "/join"), "."]);
  fill(byId("players"), game.players.map(playerView));
  if (!game.players.length) fill(byId("players"), el("li", { class: "soft" }, "Nobody yet."));
  round.show(game.round, game.rounds);
  byId("round").hidden = !game.round;
  byId("lobby").hidden = game.number > 0;
  byId("points-card").hidden = !game.table.length;
  byId("next").textContent = game.number === 0 ? "Begin" : game.number >= game.rounds ? "Show the end" : "Next round";
  byId("next").hidden = game.is_over || Boolean(game.round && !game.round.is_revealed);
  byId("reveal").hidden = !(game.round && !game.round.is_revealed);
  byId("waiting").textContent = game.round && !game.round.is_revealed ? `Waiting for ${game.round.waiting.join(", ") || "nobody"}.` : "";
  byId("over").hidden = !game.is_over;
  fill(byId("points"), game.table.length ? pointsTable(game.table) : "");
  if (game.is_over) guarded(loadResults)();
}

function playerView(player) {
  const line = el("li", {}, el("b", { dir: "auto" }, player.claimed), el("span", { class: `badge ${player.state === "playing" ? "good" : ""}` }, JOIN_STATES[player.state]));
  if (player.state === "waiting") {
    const choice = el("select", { "aria-label": `${player.claimed} is` }, el("option", { value: "" }, "is …"), state.people.map((name) => el("option", { value: name }, name)));
    choice.value = state.people.find((name) => name.toLowerCase() === player.claimed.toLowerCase()) ?? "";
    line.append(choice,
      el("button", { type: "button", class: "primary", onclick: guarded(async () => {
        if (!choice.value) return notify("Choose who it is: only chats that they wrote in are shown.", "problem");
        return draw(await post("/api/game/admit", { player: player.id, person: choice.value }));
      }) }, "Let in"),
      el("button", { type: "button", onclick: guarded(async () => draw(await post("/api/game/refuse", { player: player.id }))) }, "Send away"));
  } else if (player.state === "playing" && !player.is_owner) {
    line.append(el("span", { class: "soft" }, player.person !== player.claimed ? `as ${player.person}` : ""),
      el("button", { type: "button", class: "plain", onclick: guarded(async () => draw(await post("/api/game/refuse", { player: player.id }))) }, "Send away"));
  }
  return line;
}

byId("next").addEventListener("click", guarded(async () => draw(await post("/api/game/next"))));
byId("reveal").addEventListener("click", guarded(async () => draw(await post("/api/game/reveal"))));
byId("close-game").addEventListener("click", guarded(async () => {
  await post("/api/game/close");
  await load();
}));

// All games.

async function loadResults() {
  const found = await get(`/api/game/results?adapter=${encodeURIComponent(adapter)}`);
  byId("all-games").hidden = found.answers === 0;
  const cell = (share) => (share.whole ? `${share.part} of ${share.whole} (${percent(share.low)}–${percent(share.high)} %)` : "–");
  fill(byId("results"), el("table", {},
    el("thead", {}, el("tr", {}, el("th", {}, "player"), el("th", { class: "number" }, "real reply found"), el("th", { class: "number" }, "right person"))),
    el("tbody", {}, found.players.map((row) => el("tr", {}, el("td", { dir: "auto" }, row.player), el("td", { class: "number" }, cell(row.right)), el("td", { class: "number" }, cell(row.who)))),
      found.longer.whole ? el("tr", { class: "soft" }, el("td", {}, "always the longer reply"), el("td", { class: "number" }, cell(found.longer)), el("td", {})) : "")));
}

const percent = (share) => Math.round(share * 100);

guarded(async () => {
  await load();
  await showRunning(panel);
})();
