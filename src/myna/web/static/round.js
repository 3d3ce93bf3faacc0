// A round of the game as a player sees it: a moment, two replies, two questions.

import { el, fill } from "./dom.js";

/** Draw a round into `node`; `onGuess({ letter, who })` when both questions are answered. */
export function roundView(node, onGuess) {
  let drawn = "";
  let letter = null;
  let who = null;
  let last = null;

  function show(round, total) {
    last = [round, total];
    if (!round) return fill(node);
    const key = `${round.number}`;
    if (key !== drawn) [drawn, letter, who] = [key, null, null];
    const guess = round.guess ?? { letter, who };
    const open = !round.is_revealed && !round.guess && round.plays;
    const focused = document.activeElement?.dataset?.choice;
    fill(node,
      el("p", { class: "soft flat" }, `Round ${round.number} of ${total}`),
      el("div", { class: "game-before" }, round.before.map(([person, text]) => el("p", { dir: "auto" }, el("b", {}, person), text))),
      el("h2", {}, round.is_revealed ? "This one was real" : "Which reply is real?"),
      el("div", { class: "replies", role: "group", "aria-label": "Replies" }, round.replies.map((text, i) => reply(round, "ab"[i], text, guess, open))),
      round.choices.length ? [
        el("h2", {}, round.is_revealed ? `${round.answer.who} said it` : "Who said it?"),
        el("div", { class: "row", role: "group", "aria-label": "People" }, round.choices.map((name) => {
          const button = el("button", { type: "button", class: `who ${round.answer?.who === name ? "was-them" : ""}`, "aria-pressed": String(guess.who === name), data: { choice: `who-${name}` } }, name);
          button.disabled = !open;
          button.addEventListener("click", () => { who = name; done(round); });
          return button;
        }))] : round.is_revealed ? el("p", {}, `${round.answer.who} said it.`) : "",
      el("p", { class: "verdict", role: "status" }, verdict(round)));
    if (focused) [...node.querySelectorAll("button")].find((button) => button.dataset.choice === focused)?.focus();
    return undefined;
  }

  function reply(round, name, text, guess, open) {
    const was = round.is_revealed ? (round.answer.letter === name ? "was-real" : "was-clone") : "";
    const label = round.is_revealed ? (round.answer.letter === name ? "really said" : "the clone") : name.toUpperCase();
    const button = el("button", { type: "button", class: `reply-choice ${was}`, dir: "auto", "aria-pressed": String(guess.letter === name), data: { choice: `reply-${name}` } }, el("b", {}, label), text);
    button.disabled = !open;
    button.addEventListener("click", () => { letter = name; done(round); });
    return button;
  }

  function done(round) {
    show(...last);
    if (letter && (who || !round.choices.length)) onGuess({ round: round.number, letter, who: who ?? "" });
  }

  return { show };
}

function verdict(round) {
  if (!round.is_player) return "";
  if (!round.is_revealed) {
    if (!round.plays) return "You sit this round out: you wrote this, or were answered.";
    if (!round.guess) return "";
    return round.waiting.length ? `Waiting for ${round.waiting.join(", ")}.` : "";
  }
  if (!round.guess) return round.plays ? "" : "You sat this round out: you wrote this, or were answered.";
  const isRight = round.guess.letter === round.answer.letter;
  const isPerson = round.guess.who === round.answer.who;
  if (!round.choices.length) return isRight ? "Right!" : "The clone had you.";
  return isRight ? (isPerson ? "Right, and the right person: 2 points." : "Right reply, other person: 1 point.") : isPerson ? "The clone had you, but it was the right person: 1 point." : "The clone had you.";
}

/** The table of a game's players. */
export const pointsTable = (rows) => el("table", {},
  el("thead", {}, el("tr", {}, el("th", {}, "player"), ["points", "reply", "person", "rounds"].map((name) => el("th", { class: "number" }, name)))),
  el("tbody", {}, rows.map((row) => el("tr", {}, el("td", { dir: "auto" }, row.player), [row.right + row.who, row.right, row.who, row.rounds].map((value) => el("td", { class: "number" }, String(value)))))));
