// A person's initials and colour: the same everywhere, from the name alone.

import { el } from "./dom.js";

export const HUES = 12; // classes hue-0 … of the style sheet, each readable in light and dark

const segments = new Intl.Segmenter(undefined, { granularity: "grapheme" });
const firstLetter = (word) => segments.segment(word)[Symbol.iterator]().next().value?.segment ?? "";

/** Up to two letters, or one emoji: graphemes, never halves of them. */
export function initials(name) {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => /[\p{L}\p{N}\p{Emoji}]/u.test(word));
  if (words.length === 0) return firstLetter(name.trim()) || "?";
  const first = firstLetter(words[0]);
  if (/\p{Extended_Pictographic}/u.test(first) || words.length === 1) return first.toLocaleUpperCase();
  return (first + firstLetter(words.at(-1))).toLocaleUpperCase();
}

/** A number below HUES (FNV-1a over the name). */
export function hue(name) {
  let hash = 0x811c9dc5;
  for (const byte of new TextEncoder().encode(name.normalize())) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
  return (hash >>> 15) % HUES;
}

/** A round picture of a person; decoration, as the name stands beside it. */
export const face = (name, extra = "") =>
  el("span", { class: `face hue-${hue(name)} ${extra}`.trim(), "aria-hidden": "true" }, initials(name));

/** The mark behind the name of every clone. */
export const cloneMark = () => el("span", { class: "badge clone" }, "clone");

/** "Ana", "Ana and Ben", "Ana, Ben and Cy". */
export const listed = (names) => (names.length < 2 ? names.join("") : `${names.slice(0, -1).join(", ")} and ${names.at(-1)}`);
