// Pictures of numbers, drawn as SVG: a chart of lines, with its numbers as a table behind it.
// Colours come from the style sheet, by class; text is only ever text.

import { el, fill, perFrame } from "./dom.js";

const NAMESPACE = "http://www.w3.org/2000/svg";
const HEIGHT = 300;
const EDGE = { left: 46, right: 14, top: 12, bottom: 30 };
const MAX_TABLE_ROWS = 60;

/** An SVG element with attributes and children. */
export function svg(tag, attributes = {}, ...children) {
  const node = document.createElementNS(NAMESPACE, tag);
  for (const [name, value] of Object.entries(attributes)) if (value !== null && value !== undefined) node.setAttribute(name, value);
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined));
  return node;
}

/** About `count` round numbers between two others. */
export function ticks(low, high, count = 5) {
  const span = high - low;
  if (!(span > 0)) return [low];
  const rough = span / count;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((size) => size >= rough);
  const found = [];
  for (let value = Math.ceil(low / step) * step; value <= high + step / 1e6; value += step) found.push(Number(value.toPrecision(12)));
  return found;
}

/** Means over neighbours, so that a jagged line shows where it goes. */
export function smoothed(points) {
  const reach = Math.max(1, Math.min(6, Math.round(points.length / 4)), Math.round(points.length / 20));
  let sum = 0;
  return points.map(([x, y], i) => {
    sum += y;
    if (i >= reach) sum -= points[i - reach][1];
    return [x, sum / Math.min(i + 1, reach)];
  });
}

/**
 * A chart. `update(series)` draws it; a series has `name`, `kind` ("line", "faint", "dots"),
 * `colour` (0 to 5) and `points` ([x, y] by x). With `labels` {x, y, title}.
 */
export function lineChart(labels) {
  const picture = svg("svg", { class: "chart", role: "img", "aria-label": labels.title });
  const key = el("div", { class: "chart-key" });
  const readout = el("p", { class: "soft chart-readout", "aria-hidden": "true" });
  const table = el("table");
  const more = el("details", {}, el("summary", {}, "As a table"), el("div", { class: "scroll", tabindex: "0" }, table));
  const node = el("figure", { class: "chart-figure" }, key, picture, readout, more);
  let series = [];
  let scale = null;

  const draw = perFrame(() => {
    const width = Math.max(260, picture.clientWidth || 600);
    picture.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const all = series.flatMap((one) => one.points);
    if (!all.length) return fill(picture, svg("text", { x: width / 2, y: HEIGHT / 2, class: "chart-text middle" }, labels.empty ?? "Nothing yet"));
    scale = scaleOf(all, width);
    fill(picture, axes(scale, width, labels), series.map((one) => draw1(one, scale)));
    return undefined;
  });

  function update(next) {
    series = next;
    fill(key, series.filter((one) => one.kind !== "faint" && one.points.length).map((one) =>
      el("span", {}, el("i", { class: `swatch ${one.kind} colour-${one.colour}` }), one.name)));
    if (more.open) fillTable();
    draw();
  }

  function fillTable() {
    const shown = series.filter((one) => one.kind !== "line" || !series.some((other) => other.kind === "faint" && other.colour === one.colour));
    const steps = [...new Set(shown.flatMap((one) => one.points.map(([x]) => x)))].sort((a, b) => a - b);
    const every = Math.ceil(steps.length / MAX_TABLE_ROWS);
    const rows = steps.filter((step, i) => i % every === 0 || i === steps.length - 1 || shown.some((one) => one.kind === "dots" && one.points.some(([x]) => x === step)));
    const values = shown.map((one) => new Map(one.points));
    fill(table,
      el("thead", {}, el("tr", {}, el("th", { class: "number" }, labels.x), shown.map((one) => el("th", { class: "number" }, one.name)))),
      el("tbody", {}, rows.map((step) => el("tr", {}, el("td", { class: "number" }, String(step)),
        values.map((map) => el("td", { class: "number" }, map.has(step) ? map.get(step).toFixed(3) : ""))))));
  }

  more.addEventListener("toggle", fillTable);
  picture.addEventListener("pointermove", (event) => {
    if (!scale) return;
    const box = picture.getBoundingClientRect();
    const x = scale.backX((event.clientX - box.left) * (scale.width / box.width));
    const texts = series.filter((one) => one.kind !== "faint" && one.points.length).map((one) => {
      const [at, y] = one.points.reduce((best, point) => (Math.abs(point[0] - x) < Math.abs(best[0] - x) ? point : best));
      return `${one.name} ${y.toFixed(3)} at ${labels.x} ${at}`;
    });
    readout.textContent = texts.join(" · ");
  });
  new ResizeObserver(draw).observe(picture);
  return { node, update };
}

function scaleOf(points, width) {
  const xs = points.map(([x]) => x);
  const ys = points.map(([, y]) => y).sort((a, b) => a - b);
  const left = xs.reduce((a, b) => Math.min(a, b));
  const right = Math.max(xs.reduce((a, b) => Math.max(a, b)), left + 1);
  // A first loss far above the rest would make the rest flat.
  const highest = Math.min(ys.at(-1), ys[Math.floor(ys.length * 0.98)] * 1.15 + 0.01);
  const low = ys[0] - (highest - ys[0]) * 0.08 - 1e-6;
  const x = (value) => EDGE.left + ((value - left) / (right - left)) * (width - EDGE.left - EDGE.right);
  const y = (value) => HEIGHT - EDGE.bottom - ((Math.min(value, highest) - low) / (highest - low || 1)) * (HEIGHT - EDGE.top - EDGE.bottom);
  const backX = (at) => left + ((at - EDGE.left) / (width - EDGE.left - EDGE.right)) * (right - left);
  return { x, y, backX, left, right, low, highest, width };
}

function axes(scale, width, labels) {
  const digits = scale.highest - scale.low < 0.5 ? 2 : 1;
  return svg("g", { class: "chart-axes" },
    ticks(scale.low, scale.highest).map((value) => [
      svg("line", { x1: EDGE.left, x2: width - EDGE.right, y1: scale.y(value), y2: scale.y(value) }),
      svg("text", { x: EDGE.left - 8, y: scale.y(value) + 4, class: "chart-text end" }, value.toFixed(digits)),
    ]),
    ticks(scale.left, scale.right, Math.max(2, Math.floor(width / 80))).filter((value) => Number.isInteger(value) && scale.x(value) < width - EDGE.right - 50).map((value) =>
      svg("text", { x: scale.x(value), y: HEIGHT - 10, class: "chart-text middle" }, value.toLocaleString("en"))),
    svg("text", { x: width - EDGE.right, y: HEIGHT - 10, class: "chart-text end" }, labels.x));
}

function draw1(one, scale) {
  const places = one.points.map(([x, y]) => [scale.x(x), scale.y(y)]);
  const dots = (radius) => places.map(([x, y]) => svg("circle", { cx: x.toFixed(1), cy: y.toFixed(1), r: radius, class: `dot colour-${one.colour}` }));
  if (one.kind === "dots") return dots(4);
  if (places.length === 1) return dots(3);
  const d = places.map(([x, y], i) => `${i ? "L" : "M"}${x.toFixed(1)} ${y.toFixed(1)}`).join("");
  return svg("path", { d, class: `${one.kind} colour-${one.colour}` });
}
