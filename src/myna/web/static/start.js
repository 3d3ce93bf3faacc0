// The first run: one step after the other, read from the workspace each time.

import { get, guarded, notify, post } from "./api.js";
import { byId, el, fill } from "./dom.js";
import { dropZone } from "./drop.js";
import { commandLine, jobPanel } from "./jobs.js";

const FEW = 40;
const STEPS = ["chats", "you", "agreed", "make", "hello"];
const WAIT_MS = 700;
const MAX_TRIES = 300;
let walk = null;
let people = [];
let more = false; // further chats are being dropped

const panel = jobPanel({ onEnd: guarded(async (job) => {
  if (job.state === "done" && job.kind === "import") more = false;
  await load();
}) });
byId("job").append(panel.node);
byId("drop").append(dropZone({ canRead: "readsPaths" in byId("drop").dataset, onJob: (job) => panel.show(job) }));

async function load() {
  walk = await get("/api/start");
  people = walk.has_messages ? (await get("/api/data/people")).people.filter((one) => !one.is_bot) : [];
  const isDemo = walk.job?.kind === "demo";
  if (walk.job && walk.job.state !== "done") panel.show(walk.job);
  else panel.hide();
  const isMade = walk.has_clone && walk.stages.train === "done";
  const now = !walk.has_messages || more ? "chats" : isMade ? "hello" : isDemo && walk.job.state === "running" ? "make" : !walk.me && !walk.agreed.length ? "you" : walk.job?.state === "running" && walk.job.kind !== "import" ? "make" : step ?? (walk.agreed.length ? "make" : "agreed");
  draw(now);
}

let step = null; // the step that the user went back to, or on to

function go(to) {
  step = to;
  guarded(load)();
}

function draw(now) {
  const at = STEPS.indexOf(now);
  STEPS.forEach((name, i) => {
    const node = byId(`step-${name}`);
    node.classList.toggle("done", i < at);
    node.classList.toggle("now", i === at);
    node.classList.toggle("later", i > at);
    node.querySelector(".body").hidden = i !== at;
    const back = node.querySelector(".back");
    if (back) back.hidden = !(i < at && walk.job?.state !== "running");
  });
  byId("demo").hidden = walk.has_messages;
  const total = people.reduce((sum, one) => sum + one.messages, 0);
  byId("chats-said").textContent = walk.has_messages ? `${total.toLocaleString("en")} messages of ${people.length} people` : "";
  byId("you-said").textContent = walk.me ? `You are ${walk.me}` : "";
  byId("agreed-said").textContent = walk.agreed.length ? walk.agreed.join(", ") : "";
  if (now === "you") drawYou();
  if (now === "agreed") drawAgreed();
  if (now === "make") tellCommand();
  const busy = walk.job?.state === "running";
  for (const button of document.querySelectorAll(".step .does")) button.disabled = busy;
  const place = byId(`step-${now}`).querySelector(".job-place");
  if (place && panel.node.parentElement !== place) place.append(panel.node);
}

function drawYou() {
  fill(byId("you-list"), people.slice(0, FEW).map((one, i) => choice("radio", "me", one, i === 0)));
}

function drawAgreed() {
  fill(byId("agreed-list"), people.filter((one) => !one.is_me).slice(0, 50).map((one) => choice("checkbox", "agreed", one, one.consent === "clone")));
}

function choice(type, name, one, on) {
  const box = el("input", { type, name, value: one.person });
  box.checked = on;
  box.disabled = type === "checkbox" && on; // consent is withdrawn on the page Data
  return el("label", { class: "choice", dir: "auto" }, box, el("b", {}, one.person), el("span", { class: "soft" }, `${one.messages.toLocaleString("en")} messages`));
}

byId("you-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const name = new FormData(event.target).get("me");
  const button = event.target.querySelector(".primary");
  button.disabled = true;
  try {
    await post("/api/data/people", { action: "me", name });
  } finally {
    button.disabled = false;
  }
  go("agreed");
}));
byId("not-me").addEventListener("click", () => { step = "agreed"; draw("agreed"); });

byId("agreed-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const data = new FormData(event.target);
  const names = data.getAll("agreed").filter((name) => people.find((one) => one.person === name)?.consent !== "clone");
  const asked = (data.get("asked") ?? "").trim();
  if (names.length && !asked) return notify("Write down who asked them, how and when.", "problem");
  if (!names.length && !walk.agreed.length) return notify("Somebody has to agree before there can be a clone.", "problem");
  const button = event.target.querySelector(".primary");
  button.disabled = true;
  try {
    for (const name of names) await post("/api/data/people", { action: "allow", name, asked });
  } finally {
    button.disabled = false;
  }
  return go("make");
}));

const budget = () => new FormData(byId("make-form")).get("budget") || "4m";

function tellCommand() {
  fill(byId("make-command"), commandLine(`myna prepare && myna train --budget=${budget()}`));
}

byId("make-form").addEventListener("input", tellCommand);
byId("make-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  panel.show((await post("/api/start/make", { budget: budget() })).job);
  await load();
}));
byId("demo-button").addEventListener("click", guarded(async () => {
  panel.show((await post("/api/start/demo", { budget: "4m" })).job);
  await load();
}));
byId("more-chats").addEventListener("click", () => { more = true; draw("chats"); });
for (const button of document.querySelectorAll(".back")) button.addEventListener("click", () => {
  if (button.dataset.step === "chats") more = true;
  go(button.dataset.step);
});

byId("hello").addEventListener("click", guarded(async () => {
  byId("hello").disabled = true;
  byId("hello").textContent = "The clone wakes up…";
  if (!walk.is_served || walk.job?.state === "done") await post("/api/start/open");
  for (let tries = 0; tries < MAX_TRIES; tries += 1) {
    await new Promise((resolve) => setTimeout(resolve, WAIT_MS));
    const found = await get("/api/start").catch(() => null);
    if (found?.is_served) return location.assign("/");
  }
  byId("hello").disabled = false;
  byId("hello").textContent = "Talk with it";
  return notify("The clone does not open: the terminal of myna serve says why.", "problem");
}));

guarded(load)();
