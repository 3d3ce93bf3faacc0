// A stream of server-sent events that lasts: it comes back with the last id that it saw, after
// growing waits, and rests while nobody looks. Unlike EventSource it knows the status.

import { goToLogin, showError } from "./api.js";

const FIRST_WAIT_MS = 400;
const LONGEST_WAIT_MS = 15_000;
const SILENCE_MS = 40_000; // the server pings each 15 s

/** A parser of the WHATWG HTML standard's event stream: feed it text, get events. */
export function parser(onEvent) {
  let rest = "";
  let event = { id: null, kind: "message", data: [] };
  const line = (text) => {
    if (text === "") {
      if (event.data.length) onEvent({ ...event, data: event.data.join("\n") });
      event = { id: null, kind: "message", data: [] };
      return;
    }
    const colon = text.indexOf(":");
    const name = colon < 0 ? text : text.slice(0, colon);
    const value = colon < 0 ? "" : text.slice(colon + 1).replace(/^ /, "");
    if (name === "data") event.data.push(value);
    else if (name === "event") event.kind = value;
    else if (name === "id") event.id = value;
  };
  return (text) => {
    rest += text;
    // A CR at the very end may be half of a CRLF.
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop();
    lines.forEach(line);
  };
}

/**
 * Follow a stream until `close()`.
 *
 * `on(kind, data, id)` gets each event, its data parsed as JSON. `state` gets "open",
 * "waiting" (the connection is lost, it will be tried again), "gone" (404: the thing is not
 * there any more). `after` is the id from which to go on.
 */
export function follow(url, { after = null, on, state = () => {} }) {
  let last = after;
  let wait = FIRST_WAIT_MS;
  let timer = null;
  let abort = null;
  let closed = false;

  const again = () => {
    if (closed || document.hidden) return;
    state("waiting");
    timer = setTimeout(open, wait * (0.5 + Math.random()));
    wait = Math.min(wait * 2, LONGEST_WAIT_MS);
  };

  async function open() {
    clearTimeout(timer);
    if (closed || document.hidden) return;
    abort?.abort();
    const mine = (abort = new AbortController());
    const headers = { Accept: "text/event-stream", ...(last && { "Last-Event-ID": last }) };
    let silence;
    try {
      const answer = await fetch(url, { headers, signal: mine.signal, cache: "no-store" });
      if (answer.status === 401) return goToLogin();
      if (answer.status === 404) {
        close();
        return state("gone");
      }
      if (!answer.ok) throw new Error(`status ${answer.status}`);
      state("open");
      const feed = parser((event) => {
        if (mine !== abort || closed) return;
        if (event.id) last = event.id;
        try {
          on(event.kind, JSON.parse(event.data), event.id);
        } catch (error) {
          showError(error); // the page's fault, and no reason to connect again
        }
      });
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (;;) {
        clearTimeout(silence);
        silence = setTimeout(() => mine.abort(), SILENCE_MS);
        const { done, value } = await reader.read();
        if (done) break;
        wait = FIRST_WAIT_MS;
        feed(value);
      }
    } catch {
      // The connection is lost, or was closed here.
    } finally {
      clearTimeout(silence);
    }
    if (mine === abort) again();
    return undefined;
  }

  function onVisibility() {
    if (document.hidden) {
      clearTimeout(timer);
      const mine = abort;
      abort = null;
      mine?.abort();
    } else {
      wait = FIRST_WAIT_MS;
      open();
    }
  }

  function close() {
    closed = true;
    clearTimeout(timer);
    abort?.abort();
    document.removeEventListener("visibilitychange", onVisibility);
    removeEventListener("online", onVisibility);
  }

  document.addEventListener("visibilitychange", onVisibility);
  addEventListener("online", onVisibility);
  open();
  return { close, get last() { return last; } };
}
