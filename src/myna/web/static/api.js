// Requests to the server's JSON APIs. Errors are one line for people.

import { byId, el } from "./dom.js";

const NOTICE_MS = 8000;

/** An answer that is no success: its `status` (0: no answer), `code`, and the whole `body`. */
export class ApiError extends Error {
  constructor(message, status, code, body) {
    super(message);
    Object.assign(this, { name: "ApiError", status, code, body });
  }
}

/** Send a request; returns the JSON of the answer. `options`: headers, signal, keepalive. */
export async function call(method, path, body, options = {}) {
  const headers = { Accept: "application/json", ...options.headers };
  const init = { method, signal: options.signal, keepalive: options.keepalive, headers };
  if (body instanceof Blob || body instanceof ArrayBuffer) init.body = body;
  else if (body !== undefined) {
    headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  let answer;
  try {
    answer = await fetch(path, init);
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("The server does not answer: is it still running?", 0, "no_answer", null);
  }
  const found = await answer.json().catch(() => null);
  if (answer.ok) return found;
  if (answer.status === 401) goToLogin();
  const { message = `The server answers ${answer.status}.`, code = null } = found?.error ?? {};
  throw new ApiError(message, answer.status, code, found);
}

export const get = (path, options) => call("GET", path, undefined, options);
export const post = (path, body = {}, options) => call("POST", path, body, options);
export const patch = (path, body = {}, options) => call("PATCH", path, body, options);
export const remove = (path, options) => call("DELETE", path, undefined, options);

/** Path segments from any texts: `path("api", "rooms", id)`. */
export const path = (...segments) => "/" + segments.map((segment) => encodeURIComponent(segment)).join("/");

/** Ask for the key, then come back here. */
export function goToLogin() {
  location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
}

/** Show a line for a while, and read it to those who listen. `kind`: "problem" or "done". */
export function notify(text, kind = "done") {
  const line = el("p", { class: `notice ${kind}` }, text);
  line.append(el("button", { class: "plain", "aria-label": "Close this line", onclick: () => line.remove() }, "×"));
  const all = byId("notices");
  while (all.childElementCount > 2) all.firstElementChild.remove();
  all.append(line);
  setTimeout(() => line.remove(), NOTICE_MS);
}

/** Show an error as one line. */
export function showError(error) {
  if (error.name === "AbortError") return;
  if (!(error instanceof ApiError)) console.error(error);
  notify(error instanceof ApiError ? error.message : "The page failed: load it again.", "problem");
}

/** A listener that shows what goes wrong in `run`. */
export const guarded = (run) => async (...values) => {
  try {
    return await run(...values);
  } catch (error) {
    showError(error);
    return undefined;
  }
};
