// The ledger as a picture: all messages on the left, what became of them on the right.

import { svg } from "./chart.js";

const WIDTH = 720;
const BAR = 14;
const GAP = 16;
const LEAST = 4;
const LEFT = 120;
const RIGHT = 480;

const classOf = (action) => (action === "drop" ? "drop-out" : action);

/** A flow of `ledger`, whose actions have the names of `labels`. */
export function flowPicture(ledger, labels) {
  const actions = Object.keys(labels).filter((action) => ledger.totals[action] > 0);
  const rows = actions.map((action) => ({ action, count: ledger.totals[action], rules: ledger.rows.filter((row) => row.action === action) }));
  const total = Math.max(1, rows.reduce((sum, row) => sum + row.count, 0));
  const inner = 210;
  const size = (count) => Math.max(LEAST, (count / total) * inner);
  const heights = rows.map((row) => Math.max(size(row.count), 20));
  const height = heights.reduce((sum, one) => sum + one + GAP, 0) + 10;
  const picture = svg("svg", {
    class: "flow", viewBox: `0 0 ${WIDTH} ${height}`, role: "img",
    "aria-label": `${ledger.messages.toLocaleString("en")} messages: ${rows.map((row) => `${row.count.toLocaleString("en")} ${labels[row.action]}`).join(", ")}`,
  });
  const sum = rows.reduce((all, row) => all + size(row.count), 0);
  let from = (height - sum) / 2;
  let to = 5;
  picture.append(
    svg("rect", { x: LEFT - BAR, y: from, width: BAR, height: sum, rx: 3, class: "in" }),
    svg("text", { x: LEFT - BAR - 10, y: height / 2 - 2, "text-anchor": "end" }, ledger.messages.toLocaleString("en")),
    svg("text", { x: LEFT - BAR - 10, y: height / 2 + 14, "text-anchor": "end", class: "small" }, "messages read"),
  );
  rows.forEach((row, i) => {
    const thick = size(row.count);
    const end = to + (heights[i] - thick) / 2;
    const middle = (LEFT + RIGHT) / 2;
    const d = `M${LEFT} ${from} C${middle} ${from} ${middle} ${end} ${RIGHT} ${end} L${RIGHT} ${end + thick} C${middle} ${end + thick} ${middle} ${from + thick} ${LEFT} ${from + thick} Z`;
    const share = `${((100 * row.count) / total).toFixed(1)} %`;
    const why = row.rules.map((rule) => `${rule.rule} ${rule.messages.toLocaleString("en")}`).join(", ");
    picture.append(
      svg("path", { d, class: `band ${classOf(row.action)}` }, svg("title", {}, `${labels[row.action]}: ${row.count.toLocaleString("en")}`)),
      svg("rect", { x: RIGHT, y: end, width: BAR, height: thick, rx: 2, class: classOf(row.action) }),
      svg("text", { x: RIGHT + BAR + 10, y: to + heights[i] / 2 - 1 }, `${row.count.toLocaleString("en")} ${labels[row.action]}`),
      svg("text", { x: RIGHT + BAR + 10, y: to + heights[i] / 2 + 13, class: "small" }, why.length > 34 || !why ? `${share}${row.rules.length > 1 ? ` · ${row.rules.length} reasons` : ""}` : `${share} · ${why}`),
    );
    from += thick;
    to += heights[i] + GAP;
  });
  return picture;
}
