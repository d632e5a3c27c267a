/** What a screen reader is told, politely: the last of what came within a moment. */

import { byId } from "./elements.js";

const CALM_MS = 600;
const HEARD_CHARS = 400;
let timer = 0;

/** Say `text` when it has been quiet for a moment; a later word replaces an earlier one. */
export function announce(text) {
  clearTimeout(timer);
  timer = setTimeout(() => {
    // Behind an open dialog nothing is read out.
    const viewer = byId("viewer").open;
    byId(viewer ? "viewer-announcer" : "announcer").textContent = text.slice(0, HEARD_CHARS);
  }, CALM_MS);
}
