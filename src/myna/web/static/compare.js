// One moment, twice: as the base model would go on, and as the clone does, with the same seed.

import { guarded, post } from "./api.js";
import { openDialog } from "./dialogs.js";
import { byId, el } from "./dom.js";
import { cloneMark } from "./faces.js";

/** Show what the base model and the clone say in place of a message's turn. */
export function compareDialog(roomPath, message) {
  const column = () => el("p", { class: "said", dir: "auto", "aria-busy": "true" }, "…");
  const [base, clone] = [column(), column()];
  const again = el("button", { type: "button" }, "Another pair");
  const close = openDialog(
    "Beside the base model",
    el("p", { class: "soft" }, "The same prompt and the same seed, without and with what was learned. Nothing of it is stored."),
    el("div", { class: "columns" }, el("section", {}, el("h3", {}, "Base model"), base), el("section", {}, el("h3", {}, el("bdi", {}, message.person), " ", cloneMark()), clone)),
    el("div", { class: "row end" }, again, el("button", { type: "button", onclick: () => close() }, "Close")),
  );
  byId("dialog").classList.add("wide");
  const run = guarded(async () => {
    again.disabled = true;
    for (const one of [base, clone]) one.textContent = "…";
    try {
      const found = await post(`${roomPath}/compare`, { turn: message.turn });
      base.textContent = found.base;
      clone.textContent = found.clone;
    } finally {
      again.disabled = false;
      for (const one of [base, clone]) one.removeAttribute("aria-busy");
    }
  });
  again.addEventListener("click", run);
  run();
}
