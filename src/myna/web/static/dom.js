// Elements from data. Text only ever becomes text: there is no way to markup in here.

const FORBIDDEN = new Set(["innerHTML", "outerHTML", "style", "srcdoc"]);

/**
 * An element. Properties: `class`, `data` (an object), `onNAME` (a listener), `hidden`,
 * `disabled` and other booleans, and attributes. Children: nodes, texts, null, lists of these.
 */
export function el(tag, properties = {}, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (value === null || value === undefined || value === false) continue;
    if (FORBIDDEN.has(name)) throw new TypeError(`${name} is not for el()`);
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "data") Object.assign(node.dataset, value);
    else if (name === "value" && "value" in node) node.value = value;
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An icon of the page's own: `name` is a class of the style sheet, hidden from readers. */
export const icon = (name) => el("span", { class: `icon icon-${name}`, "aria-hidden": "true" });

/** The element of an id, which the page has. */
export const byId = (id) => document.getElementById(id);

/** Replace the children of a node. */
export const fill = (node, ...children) => node.replaceChildren(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));

/** A time as people say it: today's hour, or the day. */
export function when(iso) {
  const at = new Date(iso);
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(undefined, isToday ? { hour: "2-digit", minute: "2-digit" } : { day: "numeric", month: "short" });
}

/** Run at most once a frame, with the last arguments. */
export function perFrame(run) {
  let waiting = false;
  let last = [];
  return (...values) => {
    last = values;
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      run(...last);
    });
  };
}
