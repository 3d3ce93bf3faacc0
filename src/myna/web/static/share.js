// A chat as text or as a picture. Both say of every clone's line that it is one.

import { showError } from "./api.js";
import { el, fill } from "./dom.js";
import { hue, initials } from "./faces.js";
import { openDialog } from "./dialogs.js";

const WIDTH = 720;
const SCALE = 2;
const MAX_PICTURE = 40; // messages
const MARK = "Made with myna: lines marked “clone” were written by a language model.";
const COLORS = ["#b3261e", "#a84300", "#855600", "#4f6b00", "#1f7433", "#00736b", "#006c92", "#1b62c4", "#4b53d1", "#7a43c8", "#9c33a6", "#b31f68"];
const FONT = 'system-ui, "Segoe UI", Roboto, "Noto Sans", "Noto Color Emoji", sans-serif';

function save(blob, name) {
  const url = URL.createObjectURL(blob);
  el("a", { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

/** Offer a room's transcript. `roomPath` is its path in the API. */
export async function shareDialog(roomPath, title, messages, isMine) {
  const text = await (await fetch(`${roomPath}/transcript`)).text();
  const shown = messages.slice(-MAX_PICTURE);
  const canvas = el("canvas", { role: "img", "aria-label": `Picture of the last ${shown.length} messages` });
  const area = el("textarea", { rows: 6, readonly: true, "aria-label": "The chat as text" });
  area.value = text;
  const said = el("p", { role: "status", class: "soft" });
  const copy = async () => {
    try {
      await navigator.clipboard.writeText(text);
    } catch {
      area.select(); // no clipboard: the page came over plain HTTP from another machine
      document.execCommand("copy");
    }
    said.textContent = "Copied.";
  };
  const picture = () => canvas.toBlob((blob) => save(blob, "chat.png"), "image/png");
  const close = openDialog("Share this chat");
  document.getElementById("dialog").append(
    el("p", { class: "soft" }, "Others see what your friends' clones say: ask them first. Every copy says which lines are a clone's."),
    el("div", { class: "row" }, el("button", { type: "button", class: "primary", onclick: picture }, "Save picture"), el("button", { type: "button", onclick: () => save(new Blob([text], { type: "text/plain" }), "chat.txt") }, "Save text"), el("button", { type: "button", onclick: copy }, "Copy text")),
    said,
    canvas,
    area,
    el("div", { class: "row end" }, el("button", { type: "button", onclick: close }, "Close")),
  );
  try {
    drawPicture(canvas, title, shown, isMine);
  } catch (error) {
    fill(said, "This browser cannot draw the picture; the text works.");
    showError(error);
  }
}

/** Draw messages as bubbles. */
export function drawPicture(canvas, title, messages, isMine) {
  const pen = canvas.getContext("2d");
  const size = (weight, pixels) => `${weight} ${pixels}px ${FONT}`;
  const rows = [];
  let y = 76;
  let before = null;
  for (const message of messages) {
    const mine = isMine(message);
    const follows = before?.person === message.person && before.by_clone === message.by_clone;
    pen.font = size(400, 17);
    const lines = wrapped(pen, message.text, 470);
    const nameWidth = follows || mine ? 0 : measured(pen, size(650, 14), message.person) + 70;
    pen.font = size(400, 17);
    const width = Math.max(...lines.map((line) => pen.measureText(line).width), nameWidth, 20) + 32;
    const height = lines.length * 24 + 18 + (follows || mine ? 0 : 22);
    y += follows ? 4 : 14;
    rows.push({ message, lines, mine, follows, y, width, height });
    y += height;
    before = message;
  }
  const total = y + 62;
  canvas.width = WIDTH * SCALE;
  canvas.height = total * SCALE;
  pen.scale(SCALE, SCALE);
  pen.textBaseline = "top";
  rect(pen, 0, 0, WIDTH, total, 0, "#f6f6f9");
  rect(pen, 0, 0, WIDTH, 60, 0, "#ffffff");
  write(pen, clipped(pen, title, size(650, 20), WIDTH - 56), 28, 19, size(650, 20), "#1a1c26");
  for (const row of rows) drawRow(pen, row, size);
  write(pen, MARK, 28, total - 38, size(500, 14), "#565b6e");
}

function drawRow(pen, { message, lines, mine, follows, y, width, height }, size) {
  const x = mine ? WIDTH - 28 - width : 84;
  const color = COLORS[hue(message.person)];
  rect(pen, x, y, width, height, 18, mine ? "#3445b4" : "#ffffff");
  let top = y + 9;
  if (!mine && !follows) {
    pen.beginPath();
    pen.arc(50, y + 22, 21, 0, 2 * Math.PI);
    pen.fillStyle = color;
    pen.fill();
    pen.textAlign = "center";
    write(pen, initials(message.person), 50, y + 14, size(650, 15), "#ffffff");
    pen.textAlign = "left";
    const name = clipped(pen, message.person, size(650, 14), 400);
    write(pen, name, x + 16, top, size(650, 14), color);
    if (message.by_clone) {
      const end = x + 16 + measured(pen, size(650, 14), name) + 8;
      const width = measured(pen, size(550, 12), "clone") + 14;
      rect(pen, end, top - 2, width, 18, 9, "#e4e8ff");
      write(pen, "clone", end + 7, top + 1, size(550, 12), "#3445b4");
    }
    top += 22;
  }
  lines.forEach((line, i) => write(pen, line, x + 16, top + 24 * i + 3, size(400, 17), mine ? "#ffffff" : "#1a1c26"));
}

function write(pen, text, x, y, font, color) {
  pen.font = font;
  pen.fillStyle = color;
  pen.fillText(text, x, y);
}

function rect(pen, x, y, width, height, radius, color) {
  pen.beginPath();
  pen.roundRect(x, y, width, height, radius);
  pen.fillStyle = color;
  pen.fill();
}

function measured(pen, font, text) {
  pen.font = font;
  return pen.measureText(text).width;
}

function clipped(pen, text, font, most) {
  pen.font = font;
  let letters = [...text];
  while (letters.length > 1 && pen.measureText(`${letters.join("")}…`).width > most) letters = letters.slice(0, -1);
  return letters.length === [...text].length ? text : `${letters.join("")}…`;
}

function wrapped(pen, text, most) {
  const lines = [];
  for (const paragraph of text.split("\n")) {
    let line = "";
    for (const word of paragraph.split(/(?<=\s)/u)) {
      for (const piece of pen.measureText(word).width > most ? word.match(/.{1,24}/gsu) : [word]) {
        if (line && pen.measureText(line + piece.trimEnd()).width > most) {
          lines.push(line.trimEnd());
          line = "";
        }
        line += piece;
      }
    }
    lines.push(line.trimEnd());
  }
  return lines;
}
