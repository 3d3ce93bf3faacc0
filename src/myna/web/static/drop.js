// A place to drop an export: the files go to the server in pieces, and go on where they were.

import { call, get, guarded, path, post, showError } from "./api.js";
import { el } from "./dom.js";
import { commandLine } from "./jobs.js";

const PIECE = 2 ** 20;
const TRIES = 6;
const WAIT_MS = 800;

/** `onJob(job)` is called when an import has started. */
export function dropZone({ onJob, canRead = true }) {
  const input = el("input", { type: "file", multiple: true, id: "file", "aria-label": "Files of an export" });
  const status = el("p", { role: "status", class: "soft" });
  const problem = el("p", { role: "alert", class: "problem", hidden: true });
  const bar = el("progress", { "aria-label": "Files that have arrived", hidden: true, max: "1" });
  const local = el("input", { type: "text", id: "local-path", placeholder: "/home/me/exports", autocomplete: "off", spellcheck: "false" });
  const choose = el("button", { type: "button", class: "primary", onclick: () => input.click() }, "Choose files");
  const zone = el("div", { class: "drop" },
    el("p", {}, el("b", {}, "Drop an export here")),
    el("p", { class: "soft" }, "a file, a zip archive or a folder: WhatsApp, Telegram, Discord, Signal, Slack, iMessage and twenty others"),
    el("div", { class: "row" }, choose, input), bar, status, problem,
    canRead && el("details", {}, el("summary", {}, "Or name a file or folder on this machine: nothing is copied"),
      el("form", { class: "row", onsubmit: guarded(readLocal) }, el("label", { class: "grow", for: "local-path" }, el("span", { class: "hidden-label" }, "File or folder on this machine"), local), el("button", {}, "Read it")),
      commandLine("myna import PATH")));

  async function readLocal(event) {
    event.preventDefault();
    tell("");
    onJob((await post("/api/data/import", { path: local.value.trim() })).job);
  }

  function tell(text) {
    problem.textContent = text;
    problem.hidden = !text;
  }

  async function take(files) {
    if (!files.length) return;
    tell("");
    choose.disabled = true;
    bar.hidden = false;
    bar.value = 0;
    try {
      const names = files.map(({ name, file }) => ({ name, size: file.size }));
      const upload = await post("/api/uploads", { files: names });
      const total = names.reduce((sum, file) => sum + file.size, 0) || 1;
      let sent = 0;
      for (const [i, { name, file }] of files.entries()) {
        status.textContent = files.length > 1 ? `${i + 1} of ${files.length}: ${name}` : name;
        await send(upload.id, i, file, (bytes) => { bar.value = (sent + bytes) / total; });
        sent += file.size;
      }
      status.textContent = "";
      onJob((await post("/api/data/import", { upload: upload.id })).job);
    } catch (error) {
      status.textContent = "";
      tell(error.message);
    } finally {
      choose.disabled = false;
      bar.hidden = true;
      input.value = "";
    }
  }

  input.addEventListener("change", () => take([...input.files].map((file) => ({ name: file.webkitRelativePath || file.name, file }))));
  for (const kind of ["dragenter", "dragover"]) zone.addEventListener(kind, (event) => { event.preventDefault(); zone.classList.add("over"); });
  for (const kind of ["dragleave", "drop"]) zone.addEventListener(kind, () => zone.classList.remove("over"));
  zone.addEventListener("drop", (event) => {
    event.preventDefault();
    dropped(event.dataTransfer).then(take).catch(showError);
  });
  return zone;
}

/** Send a file from where the server is; a lost connection is tried again. */
async function send(upload, number, file, onBytes) {
  let offset = 0;
  let tries = 0;
  while (offset < file.size) {
    try {
      const piece = await file.slice(offset, offset + PIECE).arrayBuffer();
      const { size } = await call("PUT", `${path("api", "uploads", upload, String(number))}?offset=${offset}`, piece);
      offset = size;
      tries = 0;
    } catch (error) {
      if (error.status === 409 && error.body?.size !== undefined) offset = error.body.size;
      else if (error.status === 0 && (tries += 1) < TRIES) {
        await new Promise((resolve) => setTimeout(resolve, WAIT_MS * tries));
        const found = await get(path("api", "uploads", upload)).catch(() => null);
        if (found) offset = found.files[number].arrived;
      } else throw error;
    }
    onBytes(offset);
  }
}

/** The files of a drop, those in folders with their path. */
async function dropped(transfer) {
  const entries = [...transfer.items].map((item) => item.webkitGetAsEntry?.()).filter(Boolean);
  if (!entries.length) return [...transfer.files].map((file) => ({ name: file.name, file }));
  const found = [];
  const walk = async (entry) => {
    if (entry.isFile) {
      const file = await new Promise((resolve, reject) => entry.file(resolve, reject));
      found.push({ name: entry.fullPath.replace(/^\//, ""), file });
      return;
    }
    const reader = entry.createReader();
    for (;;) {
      const batch = await new Promise((resolve, reject) => reader.readEntries(resolve, reject));
      if (!batch.length) return;
      for (const inner of batch) await walk(inner);
    }
  };
  for (const entry of entries) await walk(entry);
  return found;
}

