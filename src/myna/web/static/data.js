// The data page: each part reads its own API, and every change is a command of myna.

import { call, get, guarded, notify, post } from "./api.js";
import { byId, el, fill, when } from "./dom.js";
import { dropZone } from "./drop.js";
import { flowPicture } from "./flow.js";
import { commandLine, jobPanel, showRunning } from "./jobs.js";

const FEW = 30;
const SAMPLES = 10;
const CONSENTS = { clone: "may be cloned", context: "context", no: "left out" };
const thousands = (value) => value.toLocaleString("en");
let state = null;
let people = [];
let allPeople = false;

const panel = jobPanel({ onEnd: guarded(async (job) => {
  if (job.state === "done" && job.kind === "import") notify("The chats are read: see who is in them below.");
  await load();
}) });
byId("job").append(panel.node);
byId("drop").append(dropZone({ canRead: "readsPaths" in byId("drop").dataset, onJob: (job) => { panel.show(job); panel.node.scrollIntoView({ block: "nearest" }); } }));

async function load() {
  state = await get("/api/data");
  drawImports();
  drawNext();
  drawLedger();
  await Promise.all([loadPeople(), loadChannels(), loadSamples()]);
}

function drawImports() {
  fill(byId("imports"), state.imports.length ? el("details", { class: "card" },
    el("summary", {}, `${state.imports.length === 1 ? "1 import" : `${state.imports.length} imports`}, ${thousands(state.imports.reduce((sum, one) => sum + one.stored, 0))} messages`),
    [...state.imports].reverse().map((one) => el("div", {},
      el("h3", {}, when(one.at), " ", el("span", { class: "soft" }, `${thousands(one.stored)} of ${thousands(one.messages)} messages are new`)),
      el("ul", {}, one.files.map((file) => el("li", {}, `${file.name}: ${file.source ?? ""}, ${thousands(file.messages ?? 0)} messages`, file.trouble ? el("span", { class: "problem" }, ` ${file.trouble}`) : ""))),
      one.more ? el("p", { class: "soft" }, `and ${one.more} more files`) : ""))) : []);
}

function drawNext() {
  const prepare = state.stages.find((stage) => stage.name === "prepare");
  const imported = state.stages.find((stage) => stage.name === "import").state === "done";
  byId("next").hidden = !imported || prepare.state === "done";
  byId("next-text").textContent = prepare.state === "missing" ? "The samples are not made yet. Say first who may be cloned, below." : `The samples are stale: ${prepare.reasons[0] ?? ""}.`;
  fill(byId("prepare-command"), commandLine("myna prepare"));
}

byId("prepare").addEventListener("click", guarded(async () => panel.show((await post("/api/data/prepare")).job)));

// People and consent.

async function loadPeople() {
  const found = await get("/api/data/people");
  people = found.people;
  drawPeople();
  fill(byId("merges"), found.merges.map((one) => el("div", { class: "card row" },
    el("p", { class: "grow flat" }, el("b", {}, one.first), " and ", el("b", {}, one.second), ` may be one person: ${one.because}.`),
    el("button", { type: "button", onclick: () => ask("merge", one.first, { other: one.second }) }, "They are one"))),
    found.bots.map((one) => el("p", { class: "card soft" }, el("b", {}, one.name), ` may be a bot (${one.because}): if so, set bot = true in people.toml.`)),
    found.opted_out.map((one) => el("p", { class: "card problem" }, `${one.name} opted out on ${one.at.slice(0, 10)}: ${one.person ? `the clone ${one.person} is silent` : "their messages are not read"}.`)));
}

function drawPeople() {
  const shown = allPeople ? people : people.slice(0, FEW);
  byId("all-people").hidden = shown.length === people.length;
  byId("all-people").textContent = `Show all ${thousands(people.length)}`;
  fill(byId("people-rows"), shown.length ? shown.map(personRow) : el("tr", {}, el("td", { colspan: "5", class: "soft" }, "Nobody yet: drop an export above.")));
}

function personRow(one) {
  const does = (action, text) => el("button", { type: "button", onclick: () => ask(action, one.person) }, text);
  const record = one.record ? `${one.record.asked}, ${one.record.asked_on}; for ${one.record.scope.join(", ")}${one.record.until ? `, until ${one.record.until}` : ""}` : "";
  return el("tr", {},
    el("td", { class: "name", dir: "auto" }, one.person, one.is_me ? el("span", { class: "badge" }, "you") : "", one.shown !== one.person ? el("small", {}, `shown as ${one.shown}`) : "",
      el("small", { class: "soft" }, Object.entries(one.platforms).map(([name, count]) => (count > 1 ? `${count} ${name}` : name)).join(", "))),
    el("td", {}, el("span", { class: `badge ${one.consent === "clone" ? "good" : one.consent === "no" ? "bad" : ""}` }, one.is_bot ? "bot" : CONSENTS[one.consent]), record ? el("small", { class: "soft record" }, record) : ""),
    el("td", { class: "number", data: { label: "messages" } }, thousands(one.messages)),
    el("td", { class: "days" }, one.first ? `${one.first} – ${one.last}` : "no times"),
    el("td", { class: "change" }, one.is_bot ? "" : el("div", { class: "row changes" },
      one.consent === "clone" ? does("deny", "Withdraw") : does("allow", "Agreed"),
      one.consent === "no" ? does("context", "Context") : one.consent === "context" ? does("deny", "Leave out") : "",
      one.is_me ? "" : does("me", "That is me"), does("rename", "Rename"))));
}

byId("all-people").addEventListener("click", () => { allPeople = true; drawPeople(); });

const dialog = byId("person");
let asked = null;

const TEXTS = {
  allow: (name) => [`${name} agreed to be cloned`, "Write down who asked them, how and when: the record stays in people.toml. Ask first; the page below is ready to send.", "They agreed"],
  context: (name) => [`${name} is context`, "Their messages may stand before a reply. Nothing is learned from them.", "Make it so"],
  deny: (name) => [`Leave ${name} out`, "Their messages are left out, others' mentions of them become anonymous, and a clone that learned from them falls silent at once, until it is trained again without them.", "Leave them out"],
  me: (name) => [`You are ${name}`, "It also says that you may be cloned.", "That is me"],
  rename: (name) => [`Rename ${name}`, "The new name stands in samples and prompts.", "Rename"],
  merge: (name, other) => [`${other} is ${name}`, "The accounts of both become one person's. Consent and name are the first one's.", "Merge them"],
};

function field(label, name, attributes = {}) {
  return el("label", {}, label, el("input", { name, autocomplete: "off", ...attributes }));
}

const FIELDS = {
  allow: (name) => [
    field("Who asked, how and when", "asked", { required: true, maxlength: "500", placeholder: "by me, on the phone, 3 May" }),
    el("fieldset", {}, el("legend", {}, "They agreed that their clone"), [["owner", "talks to you"], ["group", "talks to others as well"], ["publish", "may be passed on"]].map(([word, text]) => {
      const box = el("input", { type: "checkbox", name: "scope", value: word });
      box.checked = word !== "publish";
      return el("label", { class: "check" }, box, text);
    })),
    field("Until the day (empty: until they say no)", "until", { placeholder: "2027-12-31", maxlength: "10" }),
    el("details", { ontoggle: guarded(async (event) => {
      const { text } = await get(`/api/data/people/request?name=${encodeURIComponent(name)}`);
      event.target.querySelector("pre").textContent = text;
    }) }, el("summary", {}, "A page that asks them, in plain words"), el("pre", {})),
  ],
  rename: () => [field("New name", "other", { required: true, maxlength: "40" })],
};

function ask(action, name, given = {}) {
  asked = { action, name, ...given };
  const [title, text, label] = TEXTS[action](name, given.other);
  byId("person-title").textContent = title;
  byId("person-text").textContent = text;
  byId("person-do").textContent = label;
  fill(byId("person-fields"), FIELDS[action]?.(name) ?? []);
  tellPerson();
  dialog.showModal();
}

function personChange() {
  const data = new FormData(byId("person-form"));
  const extra = {};
  for (const key of ["asked", "until", "other"]) if (data.get(key)) extra[key] = data.get(key).trim();
  if (asked.action === "allow") extra.scope = data.getAll("scope");
  return { ...asked, ...extra };
}

const tellPerson = guarded(async () => {
  const change = personChange();
  if (change.action === "rename" && !change.other) return fill(byId("person-command"));
  const { command } = await post("/api/data/people/command", change);
  return fill(byId("person-command"), commandLine(command));
});

byId("person-form").addEventListener("input", tellPerson);
byId("person-cancel").addEventListener("click", () => dialog.close());
byId("person-form").addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  const button = byId("person-do");
  button.disabled = true;
  try {
    const done = await post("/api/data/people", personChange());
    dialog.close();
    notify(done.lines.at(-1) ?? "done");
    await load();
  } finally {
    button.disabled = false;
  }
}));

// Channels and filters.

const filter = byId("filter");

async function loadChannels() {
  const { channels } = await get("/api/data/channels");
  const chosen = state.filter.channels;
  const isOn = (row) => !chosen.length || (chosen.every((name) => name.startsWith("!")) ? !chosen.includes(`!${row.channel}`) : chosen.includes(row.channel));
  filter.elements.since.value = state.filter.since;
  filter.elements.until.value = state.filter.until;
  const rows = channels.map((row) => {
    const box = el("input", { type: "checkbox", name: "channel", value: row.channel ?? "", "aria-label": `Count ${row.channel ?? "this chat"}` });
    box.checked = !row.channel || isOn(row);
    box.disabled = !row.channel; // a filter goes by names
    return el("tr", {},
      el("td", {}, box),
      el("td", { class: "name", dir: "auto" }, [row.space, row.channel].filter(Boolean).join(" / ") || row.channel_id, el("small", { class: "soft" }, row.source, row.sample ? ` · ${row.sample.slice(0, 80)}` : "")),
      el("td", { class: "number" }, thousands(row.messages)), el("td", { class: "number" }, thousands(row.people)),
      el("td", { class: "days" }, row.first ? `${row.first} – ${row.last}` : ""));
  });
  fill(byId("channel-rows"), rows.length ? rows : el("tr", {}, el("td", { colspan: "5", class: "soft" }, "No channels yet.")));
  tellFilter();
}

function wantedFilter() {
  const boxes = [...filter.querySelectorAll("[name=channel]")];
  const on = boxes.filter((box) => box.checked && box.value).map((box) => box.value);
  const off = boxes.filter((box) => !box.checked).map((box) => box.value);
  const named = [...new Set(off.length === 0 ? [] : on.length <= off.length ? on : off.map((name) => `!${name}`))];
  return { channels: named, since: filter.elements.since.value.trim(), until: filter.elements.until.value.trim() };
}

function tellFilter() {
  const wanted = wantedFilter();
  const parts = Object.entries(wanted).map(([key, value]) => `${key} = ${JSON.stringify(value)}`);
  fill(byId("filter-line"), "in myna.toml, [filter]: ", el("code", {}, parts.join(", ")));
}

filter.addEventListener("input", tellFilter);
filter.addEventListener("submit", guarded(async (event) => {
  event.preventDefault();
  if (!filter.querySelector("[name=channel]:checked")) return notify("Keep at least one channel.", "problem");
  await call("PUT", "/api/data/filter", wantedFilter());
  notify("Kept. Prepare the samples again to apply it.");
  return load();
}));

// The ledger.

function drawLedger() {
  const { ledger, labels } = state;
  if (!ledger) return fill(byId("ledger-body"), el("p", { class: "card empty" }, "The ledger comes with the samples."));
  const held = ledger.totals.validation + ledger.totals.test;
  const replaced = Object.values(ledger.redacted).reduce((sum, count) => sum + count, 0);
  const facts = { "messages read": ledger.messages, trained: ledger.totals.train, "held out": held, "left out": ledger.totals.drop, "personal data replaced": replaced };
  return fill(byId("ledger-body"),
    el("div", { class: "card" },
      el("p", { class: ledger.balanced ? "ok" : "problem" }, ledger.balanced ? "In = out + left out: every message and every character is accounted for." : "The ledger does not balance: this is a defect of myna."),
      el("dl", { class: "facts" }, Object.entries(facts).map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, thousands(value))))),
      el("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": "Picture of the ledger" }, flowPicture(ledger, labels))),
    el("div", { class: "card scroll", tabindex: "0", role: "region", "aria-label": "The ledger by rule" }, el("table", {},
      el("thead", {}, el("tr", {}, el("th", {}, "rule"), el("th", {}, "becomes"), el("th", { class: "number" }, "messages"), el("th", { class: "number" }, "characters"), el("th", {}, "because"))),
      el("tbody", {}, ledger.rows.map((row) => el("tr", {},
        el("td", {}, row.rule),
        el("td", {}, el("i", { class: `kind ${row.action === "drop" ? "drop-out" : row.action}` }), labels[row.action]),
        el("td", { class: "number" }, thousands(row.messages)), el("td", { class: "number" }, thousands(row.characters)),
        el("td", {}, row.examples.length ? el("details", {}, el("summary", {}, row.why), row.examples.map((example) => el("p", { class: "soft", dir: "auto" }, example))) : row.why)))))),
    ledger.notes.map((note) => el("p", { class: "soft" }, note)),
    el("p", {}, el("a", { href: "/reports/prepare" }, "The same with how everybody writes")));
}

// Samples.

const find = byId("find");
let nextSample = 0;

async function loadSamples(start = 0) {
  const query = new URLSearchParams({ split: find.elements.split.value, search: find.elements.search.value.trim(), start, count: SAMPLES });
  const found = await get(`/api/data/samples?${query}`);
  const nodes = found.samples.map((one) => el("div", {},
    el("p", { class: "soft flat" }, `${one.number} · ${one.channel ?? ""} · ${one.tokens} tokens, ${one.trained} trained`),
    el("pre", { class: "sample", dir: "auto" }, one.segments.map((segment) => el("span", { class: `${segment.kind}${segment.control ? " control" : ""}` }, segment.text)))));
  if (start) byId("sample-list").append(...nodes);
  else fill(byId("sample-list"), nodes);
  nextSample = found.next;
  byId("more-samples").hidden = found.next === null;
  byId("sample-count").textContent = found.total ? `${thousands(found.total)} samples` : "No sample.";
}

find.addEventListener("submit", (event) => { event.preventDefault(); guarded(loadSamples)(); });
find.elements.split.addEventListener("change", () => guarded(loadSamples)());
byId("more-samples").addEventListener("click", guarded(() => loadSamples(nextSample)));
byId("audit").addEventListener("click", guarded(async () => {
  const found = await get(`/api/data/audit?split=${find.elements.split.value}`);
  fill(byId("audit-result"), el("p", { class: found.fatal.length ? "problem" : "ok" }, found.fatal.length ? found.fatal.join("; ") : `No problem in ${thousands(found.samples)} samples: ${thousands(found.tokens)} tokens, ${thousands(found.trained)} of them trained, in ${thousands(found.replies)} replies; the longest has ${found.longest}.`), commandLine("myna inspect --audit"));
}));

guarded(async () => {
  await load();
  await showRunning(panel);
})();
