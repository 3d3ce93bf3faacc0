// A command that runs as a job: what it is, how far it is, its output, and a button to stop it.

import { get, guarded, path, post } from "./api.js";
import { el, fill } from "./dom.js";
import { follow } from "./events.js";

const KINDS = {
  import: "Reading the chats", prepare: "Preparing the samples", train: "Training",
  evaluate: "Measuring the clone", demo: "Making the demo", people: "Changing people",
};
const STATES = { running: "runs", done: "done", failed: "failed", stopped: "stopped" };
const DEMO_STEPS = 6;
const MAX_LINES = 400;

/** A line of a shell, as it would be typed. */
export const commandLine = (text) => el("p", { class: "command" }, el("span", { class: "soft", "aria-hidden": "true" }, "$ "), el("code", {}, text));

/** How far a job is by its last lines: { share (null: unknown), text }. */
export function progressOf(lines) {
  let share = null;
  let text = "";
  for (const line of lines) {
    const demo = line.match(/^([1-6])\. (.*)/);
    const steps = line.match(/^step (\d+)\/(\d+)\s+(.*)/);
    const count = line.match(/: ([\d,]+) of ([\d,]+)$/);
    if (line.startsWith("$ ")) [share, text] = [null, line.slice(2)];
    else if (demo) [share, text] = [(Number(demo[1]) - 1) / DEMO_STEPS, demo[2]];
    else if (steps) [share, text] = [Number(steps[1]) / Number(steps[2]), line];
    else if (count) [share, text] = [number(count[1]) / number(count[2]), line];
    else if (line.trim()) text = line.trim();
  }
  return { share, text };
}

const number = (text) => Number(text.replaceAll(",", ""));

/** The last line of a failed job: what is wrong, and what to do. */
export const problemOf = (lines) => (lines.findLast((line) => line.startsWith("myna: ")) ?? lines.findLast((line) => line.trim()) ?? "it failed").replace(/^myna: /, "").replace(/uploads\/[0-9a-f]{16}\/files\//, "");

/**
 * A panel for one job at a time. `onEnd(job, lines)` is called when one ends while it is shown,
 * `onLines(lines)` with each new output.
 */
export function jobPanel({ onEnd = () => {}, onLines = () => {} } = {}) {
  const title = el("h2", {});
  const badge = el("span", { class: "badge" });
  const bar = el("progress", { "aria-label": "Progress" });
  const last = el("p", { class: "soft job-last" });
  const problem = el("p", { class: "problem", role: "alert", hidden: true });
  const output = el("pre", { class: "job-output", tabindex: "0", "aria-label": "Output of the command" });
  const stop = el("button", { class: "danger", type: "button" }, "Stop");
  const command = el("div");
  const node = el("section", { class: "card job", hidden: true, "aria-label": "Command" },
    el("div", { class: "row" }, el("div", { class: "grow row" }, title, badge), stop),
    bar, last, problem, command,
    el("details", {}, el("summary", {}, "Output"), output));
  let stream = null;
  let shown = null;

  stop.addEventListener("click", guarded(async () => {
    stop.disabled = true;
    stop.textContent = "Stopping…";
    await post(path("api", "jobs", shown, "stop"));
  }));

  function state(job, lines) {
    title.textContent = KINDS[job.kind] ?? job.kind;
    badge.textContent = STATES[job.state];
    badge.className = `badge ${job.state === "done" ? "good" : job.state === "failed" ? "bad" : ""}`;
    stop.hidden = bar.hidden = job.state !== "running";
    problem.hidden = job.state !== "failed";
    if (job.state === "failed") problem.textContent = problemOf(lines);
  }

  function show(job) {
    if (!job) return;
    if (shown === job.id && stream) return;
    stream?.close();
    shown = job.id;
    const lines = [];
    fill(command, commandLine(job.command));
    fill(output);
    last.textContent = "";
    stop.disabled = false;
    stop.textContent = "Stop";
    bar.removeAttribute("value");
    state(job, lines);
    node.hidden = false;
    const wasRunning = job.state === "running";
    stream = follow(path("api", "jobs", job.id, "events"), {
      on(kind, data) {
        if (kind === "output") {
          const isAtEnd = output.scrollTop + output.clientHeight > output.scrollHeight - 20;
          const more = data.text.replace(/\n$/, "").split("\n");
          lines.push(...more);
          lines.splice(0, lines.length - MAX_LINES);
          output.textContent = lines.join("\n");
          if (isAtEnd) output.scrollTop = output.scrollHeight;
          const { share, text } = progressOf(lines);
          last.textContent = text;
          if (share === null) bar.removeAttribute("value");
          else bar.value = share;
          onLines(lines);
        } else if (kind === "end") {
          stream.close();
          stream = null;
          state(data, lines);
          if (wasRunning) onEnd(data, lines);
        }
      },
    });
  }

  return { node, show, hide() { stream?.close(); stream = null; shown = null; node.hidden = true; }, get job() { return shown; } };
}

/** Show a job that runs, if one does: also one that another tab started. */
export async function showRunning(panel) {
  const { jobs } = await get("/api/jobs");
  const busy = jobs.find((job) => job.state === "running");
  if (busy) panel.show(busy);
  return busy;
}
