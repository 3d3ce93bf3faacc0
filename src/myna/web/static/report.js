// The report page: faults first, then every figure on its way from the base to real text.

import { get, guarded, path, post } from "./api.js";
import { svg } from "./chart.js";
import { byId, el, fill, when } from "./dom.js";
import { commandLine, jobPanel, showRunning } from "./jobs.js";

const GRADES = { good: "close to real text", fair: "on its way", poor: "far from real text" };
const KINDS = { clone: "clone", floor: "base model, or chance", ceiling: "real text", reference: "" };
const WIDTH = 300;
const MIDDLE = 13;
let adapters = [];
let shown = null;

const panel = jobPanel({ onEnd: guarded(load) });
byId("job").append(panel.node);
const form = byId("measure-form");

async function load() {
  const found = await get("/api/reports");
  adapters = found.adapters;
  byId("none").hidden = adapters.length > 0;
  byId("choose").hidden = adapters.length === 0;
  form.hidden = adapters.length === 0;
  if (!adapters.length) return;
  shown = adapters.find((one) => one.adapter === shown)?.adapter ?? adapters.find((one) => one.adapter === found.default)?.adapter ?? adapters[0].adapter;
  const option = (one, text = one.adapter) => el("option", { value: one.adapter }, text);
  fill(byId("adapter"), adapters.map((one) => option(one, one.made_at ? `${one.adapter}, of ${when(one.made_at)}` : one.adapter)));
  byId("adapter").value = shown;
  const others = adapters.filter((one) => one.adapter !== shown && one.state !== "missing");
  fill(byId("other"), el("option", { value: "" }, "nothing"), others.map((one) => option(one)));
  byId("beside").hidden = adapters.length < 2;
  await draw();
  tell();
}

async function draw() {
  const one = adapters.find((adapter) => adapter.adapter === shown);
  byId("compared").hidden = true;
  if (one.state === "missing") {
    fill(byId("report"), el("p", { class: "card empty" }, `The clone ${shown} is not measured yet.`));
    return;
  }
  const report = await get(path("api", "reports", shown));
  const graded = report.measures.filter((measure) => !measure.is_detail && measure.grade);
  const counts = Object.entries(GRADES).map(([grade, words]) => [graded.filter((measure) => measure.grade === grade).length, words]).filter(([count]) => count);
  fill(byId("report"),
    one.state === "stale" ? el("p", { class: "problem" }, `It was measured before ${one.reasons[0] ?? "something changed"}: measure again.`) : "",
    el("p", {}, `Measured on chats that it has never seen. Of ${graded.length} graded figures: ${counts.map(([count, words]) => `${count} ${words}`).join(", ") || "none has a grade"}. `,
      one.has_page ? el("a", { href: path("reports", shown) }, "The same with replies and rooms, as one page") : ""),
    report.faults.length ? report.faults.map((fault) => el("section", { class: "card fault" }, el("h3", {}, upper(fault.name)), el("p", {}, `${upper(fault.text)}.`), el("p", { class: "flat" }, el("b", {}, withCode(`${upper(fault.remedy)}.`)))))
      : el("section", { class: "card fault sound" }, el("h3", {}, "No fault found by these figures")),
    legend(),
    Object.entries(report.sections).map(([name, title]) => section(title, report.measures.filter((measure) => measure.section === name && measure.is_known))),
    people(report),
    notes(report));
}

/** A text in which what stands between backticks is code. */
const withCode = (text) => text.split("`").map((part, i) => (i % 2 ? el("code", {}, part) : part));

const upper = (text) => text.slice(0, 1).toUpperCase() + text.slice(1);

const legend = () => el("p", { class: "legend soft" },
  el("span", {}, el("i", { class: "dot-key clone" }), "clone, with its 95 % interval"), el("span", {}, el("i", { class: "dot-key" }), "base model, or chance"), el("span", {}, el("i", { class: "dot-key real" }), "real text"),
  el("span", {}, el("b", { class: "value good" }, "green"), " close to real text, ", el("b", { class: "value fair" }, "amber"), " on its way, ", el("b", { class: "value poor" }, "red"), " far from it"));

function section(title, measures) {
  if (!measures.length) return "";
  const [plain, detail] = [measures.filter((one) => !one.is_detail), measures.filter((one) => one.is_detail)];
  return el("section", {}, el("h2", {}, title), el("div", { class: "card figures" }, plain.map(figure),
    detail.length ? el("details", {}, el("summary", {}, `${detail.length} more figures`), detail.map(figure)) : ""));
}

function figure(measure) {
  const beside = measure.lines.map((line) => `${line.name} ${line.text}`).join(" · ");
  const names = Object.keys(measure.people);
  const columns = [...new Set(names.flatMap((name) => Object.keys(measure.people[name])))];
  return el("details", { class: "figure" },
    el("summary", {}, el("span", {}, measure.title), strip(measure), el("span", { class: `value ${measure.grade}` }, measure.value, measure.grade ? el("span", { class: "hidden-label" }, `, ${GRADES[measure.grade]}`) : "")),
    el("div", { class: "meaning" },
      el("p", { class: "soft" }, beside),
      el("p", {}, `${upper(measure.definition)}. ${measure.better}`),
      measure.notes.map((note) => el("p", { class: "soft" }, upper(note))),
      columns.length ? el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": `${measure.title} by person` }, el("table", {},
        el("thead", {}, el("tr", {}, el("th", {}, "person"), columns.map((name) => el("th", { class: "number" }, { floor: "base", ceiling: "real text" }[name] ?? name)))),
        el("tbody", {}, names.map((name) => el("tr", {}, el("td", { dir: "auto" }, name), columns.map((key) => el("td", { class: "number" }, measure.people[name][key] ?? "–"))))))) : ""));
}

/** The figures of a measure as marks on one scale. */
export function strip(measure) {
  const values = [measure.low, measure.high, ...measure.lines.map((line) => line.value)].filter((value) => value !== null);
  let low = Math.min(0, ...values);
  let high = Math.max(...values);
  if (measure.unit === "share" && low >= 0) high = Math.max(high, 0.05);
  const margin = 0.06 * (high - low || 1);
  [low, high] = [low - margin, high + margin];
  const at = (value) => (((value - low) / (high - low)) * WIDTH).toFixed(1);
  const marks = [...measure.lines].sort((a, b) => (a.kind === "clone") - (b.kind === "clone")).map((line) => {
    const title = svg("title", {}, `${line.name}: ${line.text}`);
    const x = Number(at(line.value));
    if (line.kind === "ceiling") return svg("rect", { x: x - 4, y: MIDDLE - 7, width: 8, height: 14, rx: 2, class: "ceiling" }, title);
    return svg("circle", { cx: x, cy: MIDDLE, r: line.kind === "clone" ? 7 : 6, class: `${line.kind} ${line.kind === "clone" ? measure.grade : ""}` }, title);
  });
  return svg("svg", { class: "strip", viewBox: `0 0 ${WIDTH} 26`, preserveAspectRatio: "none", role: "img", "aria-label": measure.lines.map((line) => `${line.name || KINDS[line.kind]} ${line.text}`).join(", ") },
    svg("line", { x1: 0, x2: WIDTH, y1: MIDDLE, y2: MIDDLE }),
    measure.low !== null && measure.low < measure.high ? svg("line", { x1: at(measure.low), x2: at(measure.high), y1: MIDDLE, y2: MIDDLE, class: `interval ${measure.grade}` }) : null,
    marks);
}

function people(report) {
  if (!report.gaps.length) return "";
  return el("section", {}, el("h2", {}, "Where each is least like the person"), el("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "Largest gaps in style" }, el("table", {},
    el("thead", {}, el("tr", {}, ["person", "feature", "clone", "really", "what changes it"].map((name) => el("th", {}, name)))),
    el("tbody", {}, report.gaps.map((gap) => el("tr", {}, [gap.person, gap.feature, gap.clone || "–", gap.real || "–", gap.remedy].map((text) => el("td", { dir: "auto" }, text))))))));
}

function notes(report) {
  return report.notes.length ? el("section", {}, el("h2", {}, "Not measured"), el("ul", {}, report.notes.map((note) => el("li", {}, note)))) : "";
}

async function compare() {
  const other = byId("other").value;
  byId("compared").hidden = !other;
  if (!other) return;
  const found = await get(`/api/reports/compare?adapter=${encodeURIComponent(shown)}&other=${encodeURIComponent(other)}`);
  fill(byId("compared"), el("h2", { class: "flat" }, `${found.this} beside ${found.other}`),
    el("p", { class: "soft" }, "On the same moments, so that what makes one hard for both cancels out. A difference counts where its 95 % interval leaves zero aside."),
    el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Comparison" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, "figure"), [found.this, found.other, "difference"].map((name) => el("th", { class: "number" }, name)), el("th", {}, "better"))),
      el("tbody", {}, found.rows.map((row) => el("tr", {},
        el("td", {}, row.title), [row.this, row.other, row.difference].map((text) => el("td", { class: "number" }, text)),
        el("td", {}, row.better ? el("span", { class: "badge good" }, row.better) : el("span", { class: "soft" }, "open"))))))),
    found.notes.map((note) => el("p", { class: "soft" }, note)),
    commandLine(`myna evaluate --adapter ${found.this} --against ${found.other}`));
}

function wanted() {
  const { items, rooms, full } = form.elements;
  return { adapter: shown, items: Number(items.value || 120), rooms: Number(rooms.value || 10), full: full.checked };
}

const tell = guarded(async () => fill(byId("command"), commandLine((await post("/api/reports/command", wanted())).command)));

byId("adapter").addEventListener("change", guarded(async (event) => { shown = event.target.value; await load(); }));
byId("other").addEventListener("change", guarded(compare));
form.addEventListener("input", tell);
form.addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  panel.show((await post("/api/reports/evaluate", wanted())).job);
}));

guarded(async () => {
  await load();
  await showRunning(panel);
})();
