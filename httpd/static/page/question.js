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
  dialog.showModal();
  return new Promise((resolve) => {
    const asked = new AbortController();
    const { signal } = asked;
    const answer = (isYes) => {
      asked.abort();
      resolve(isYes);
    };
    const onSubmit = ({ submitter }) => answer(submitter?.value === "yes");
    dialog.addEventListener("submit", onSubmit, { signal });
    // A close comes late, and may be that of the question before.
    dialog.addEventListener("close", () => dialog.open || answer(false), { signal });
  });
}
