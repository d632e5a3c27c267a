/** A question with two answers, asked before something cannot be undone. */

import { byId } from "./elements.js";

/**
 * Whether the reader says yes.
 * @param {{text: string, yes: string, no: string}} words
 * @returns {Promise<boolean>}
 */
export function confirmed({ text, yes, no }) {
  const dialog = byId("question");
  byId("question-text").textContent = text;
  byId("question-yes").textContent = yes;
  byId("question-no").textContent = no;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}
