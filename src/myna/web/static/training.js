// The training page: the log of a run as it grows, wherever it was started, and older runs.

import { get, guarded, notify, post } from "./api.js";
import { lineChart, smoothed } from "./chart.js";
import { byId, el, fill, when } from "./dom.js";
import { follow } from "./events.js";
import { commandLine, jobPanel, showRunning } from "./jobs.js";

const STATES = { running: "in training", stopped: "stopped", done: "trained" };
const chart = lineChart({ title: "Loss by step", x: "step", empty: "No step yet: the first point comes with step 1" });
byId("chart").append(chart.node);

let runs = [];
let shown = null; // the run whose log is followed
let live = { points: [], previews: [] };
let stream = null;
const beside = new Map(); // older runs in the same picture: name -> points
const form = byId("new-training");

const panel = jobPanel({ onEnd: guarded(async (job) => {
  if (job.state === "done" && job.command.startsWith("myna train") && !job.command.includes("--dry-run")) notify("The clone is trained: talk with it, or measure it.");
  await load();
}) });
byId("job").append(panel.node);

/** Read the runs, and follow the one that matters. */
async function load() {
  const found = await get("/api/training");
  runs = found.runs;
  drawSamples(found);
  const wanted = runs.find((run) => run.adapter === shown) ?? runs.find((run) => run.state === "running") ?? runs.find((run) => run.adapter === found.default) ?? runs[0];
  if (found.job) panel.show(found.job);
  drawRuns();
  if (wanted && (wanted.adapter !== shown || !stream)) followRun(wanted.adapter);
  byId("nothing").hidden = runs.length > 0;
  byId("live").hidden = runs.length === 0;
}

function drawSamples(found) {
  const { samples, settings } = found;
  fill(byId("samples"), samples === null
    ? ["There are no samples yet: ", el("a", { href: "/data" }, "drop your chats and prepare them"), " first."]
    : [`${samples.trained_tokens.toLocaleString("en")} trained tokens of ${samples.personas.join(", ")}, on ${settings.base}. `,
       samples.stale.length ? el("span", { class: "problem" }, `They are stale (${samples.stale[0]}): prepare them again on the page Data.`) : ""]);
  byId("start").disabled = samples === null;
  form.elements.budget.placeholder = settings.budget || "4m";
  form.elements.epochs.placeholder = String(settings.num_train_epochs);
  form.elements.learning_rate.placeholder = String(settings.learning_rate);
  byId("cores").textContent = `Training and talking share this machine's ${found.cores} cores or its GPU: replies are slower while it trains.`;
}

function drawRuns() {
  const rows = runs.map((run) => {
    const compare = el("input", { type: "checkbox", "aria-label": `Show ${run.adapter} in the picture`, onchange: guarded((event) => toggle(run.adapter, event.target.checked)) });
    compare.checked = beside.has(run.adapter);
    compare.disabled = run.adapter === shown;
    return el("tr", {},
      el("td", {}, compare),
      el("td", {}, el("button", { class: "plain", title: run.made_at ? `made ${when(run.made_at)}` : "", type: "button", onclick: () => followRun(run.adapter), "aria-pressed": String(run.adapter === shown) }, run.adapter)),
      el("td", {}, el("span", { class: `badge ${run.state === "done" ? "good" : ""}` }, STATES[run.state])),
      el("td", { class: "number" }, run.plan ? run.plan.steps.toLocaleString("en") : "–"));
  });
  fill(byId("runs"), rows);
  byId("all-runs").hidden = runs.length === 0;
}

async function toggle(adapter, on) {
  if (on) beside.set(adapter, (await get(`/api/training/log?adapter=${encodeURIComponent(adapter)}`)).points);
  else beside.delete(adapter);
  draw();
}

function followRun(adapter) {
  stream?.close();
  shown = adapter;
  beside.delete(adapter);
  live = { points: [], previews: [] };
  drawRuns();
  byId("run-name").textContent = adapter;
  stream = follow(`/api/training/events?adapter=${encodeURIComponent(adapter)}`, {
    on(kind, data) {
      if (kind === "reset") live = data;
      else if (kind === "steps") live.points.push(...data.points);
      else if (kind === "previews") live.previews = data.previews;
      else if (kind === "state") changed(data);
      draw();
    },
    state: (now) => { byId("connection").hidden = now !== "waiting"; },
  });
}

function changed(run) {
  const i = runs.findIndex((one) => one.adapter === run.adapter);
  if (i < 0) return void guarded(load)();
  runs[i] = run;
  return drawRuns();
}

function draw() {
  const run = runs.find((one) => one.adapter === shown);
  const losses = live.points.map((point) => [point.step, point.loss]);
  const checks = live.points.filter((point) => point.validation_loss !== null).map((point) => [point.step, point.validation_loss]);
  const others = [...beside].map(([name, points], i) => ({ name, kind: "line", colour: 2 + (i % 4), points: smoothed(points.map((point) => [point.step, point.loss])) }));
  chart.update([
    ...others,
    { name: "each step", kind: "faint", colour: 0, points: losses },
    { name: `loss of ${shown}`, kind: "line", colour: 0, points: smoothed(losses) },
    { name: "on held-out chats", kind: "dots", colour: 1, points: checks },
  ]);
  drawHead(run);
  drawPreviews();
}

function drawHead(run) {
  const last = live.points.at(-1);
  const steps = run?.plan?.steps;
  const facts = last ? {
    step: steps ? `${last.step} of ${steps}` : String(last.step),
    loss: (smoothed(live.points.map((point) => [point.step, point.loss])).at(-1)?.[1] ?? last.loss).toFixed(3),
    "tokens a second": last.tokens_per_second ? Math.round(last.tokens_per_second).toLocaleString("en") : "–",
    left: run?.state === "running" ? minutes(last.seconds_left) : "–",
  } : {};
  fill(byId("facts"), Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))));
  const bar = byId("bar");
  bar.hidden = run?.state !== "running";
  if (last && steps) bar.value = last.step / steps;
  else bar.removeAttribute("value");
  byId("run-state").textContent = run ? STATES[run.state] : "";
  byId("run-state").className = `badge ${run?.state === "done" ? "good" : ""}`;
  byId("stop").hidden = run?.state !== "running";
  byId("resume").hidden = run?.state !== "stopped";
  byId("after").hidden = run?.state !== "done";
  byId("diverged").hidden = !run?.diverged;
  byId("diverged").textContent = run?.diverged ? `It diverged: ${run.diverged}. Lower the learning rate, and start it again.` : "";
}

const minutes = (seconds) => `${Math.floor(seconds / 60)}:${String(Math.floor(seconds % 60)).padStart(2, "0")}`;

function drawPreviews() {
  const steps = new Map();
  for (const preview of live.previews) steps.set(preview.step, [...(steps.get(preview.step) ?? []), preview]);
  byId("previews").hidden = steps.size === 0;
  fill(byId("replies"), [...steps].reverse().map(([step, replies]) => el("section", {},
    el("h3", {}, `After step ${step}`),
    replies.map((one) => el("div", { class: "moment" },
      el("p", { class: "asked", dir: "auto" }, one.asked),
      el("p", { class: "answer", dir: "auto" }, el("b", {}, one.person, " ", el("span", { class: "badge clone" }, "clone")), el("span", {}, one.reply || "(nothing)")))))));
}

function wanted() {
  const { adapter, budget, epochs, learning_rate: rate, how } = form.elements;
  return {
    ...(adapter.value.trim() && { adapter: adapter.value.trim() }),
    budget: budget.value.trim(),
    epochs: epochs.value ? Number(epochs.value) : null,
    learning_rate: rate.value ? Number(rate.value) : null,
    force: how.value === "force",
    continue_training: how.value === "continue",
  };
}

async function start(extra = {}) {
  const { job } = await post("/api/training/start", { ...wanted(), ...extra });
  shown = extra.dry_run ? shown : wanted().adapter ?? "group";
  panel.show(job);
  if (!extra.dry_run) stream?.close(), (stream = null);
  await load();
  if (!extra.dry_run && !stream) followRun(shown);
}

const tellCommand = guarded(async () => {
  const { command } = await post("/api/training/command", wanted());
  fill(byId("command"), commandLine(command));
});

form.addEventListener("input", tellCommand);
form.addEventListener("submit", (event) => {
  event.preventDefault();
  guarded(start)();
});
byId("measure").addEventListener("click", guarded(() => start({ dry_run: true })));
byId("stop").addEventListener("click", guarded(async () => {
  await post("/api/training/stop", { adapter: shown });
  notify("It stops after this step, with a checkpoint.");
}));
byId("resume").addEventListener("click", guarded(async () => {
  const { job } = await post("/api/training/start", { adapter: shown });
  panel.show(job);
}));
byId("open").addEventListener("click", guarded(async () => {
  await post("/api/start/open");
  location.assign("/");
}));

tellCommand();
guarded(async () => {
  await load();
  await showRunning(panel);
})();
