/** What is known of a picture, beside it. */

import { byId, element } from "./elements.js";
import { formatInstant, formatNumber, formatSeconds } from "./formats.js";
import { knows, say } from "./words.js";

// Where all of a prompt is not in sight, the keyboard scrolls it.
new ResizeObserver(([{ target }]) => {
  if (target.scrollHeight > target.clientHeight) target.tabIndex = 0;
  else target.removeAttribute("tabindex");
}).observe(byId("sheet-prompt"));

const NOT_LISTED = new Set(["prompt", "width", "height"]);

/** Show what `picture` was made from; null while that is not known. */
export function showSheet(picture) {
  byId("sheet").classList.toggle("unknown", picture === null);
  byId("sheet-prompt").textContent = picture?.metadata.prompt ?? "";
  const facts = picture ? [...factsOf(picture)] : [];
  byId("sheet-facts").replaceChildren(
    ...facts.map(([name, value]) =>
      element("div", {}, element("dt", {}, nameOf(name)), element("dd", {}, value)),
    ),
  );
}

/** @returns {Generator<[string, string | Node]>} */
function* factsOf({ metadata, width, height, created_at, filename, job_id }) {
  if (metadata.negative_prompt) yield ["negative_prompt", metadata.negative_prompt];
  if (width) yield ["size", `${width} × ${height}`];
  for (const [name, value] of Object.entries(metadata)) {
    const isEmpty = value === null || value?.length === 0;
    if (!NOT_LISTED.has(name) && name !== "negative_prompt" && !isEmpty) {
      yield [name, valueOf(name, value)];
    }
  }
  yield ["created_at", formatInstant(created_at)];
  yield ["filename", filename];
  yield ["job_id", job_id];
}

function nameOf(name) {
  const key = [`fact.${name}`, `label.${name}`].find(knows);
  return key ? say(key) : name.replaceAll("_", " ");
}

function valueOf(name, value) {
  if (name === "loras" && Array.isArray(value)) return lorasOf(value);
  if (name === "seconds") return formatSeconds(value);
  // A seed is copied, not read: no separators.
  if (name === "seed") return String(value);
  if (typeof value === "number") return formatNumber(value);
  return typeof value === "string" ? value : JSON.stringify(value);
}

function lorasOf(loras) {
  const lines = loras.map(({ id, weight, trigger_weight: trigger }) =>
    element("li", {}, [id, weight, trigger].filter((part) => part !== undefined).join(" · ")),
  );
  return element("ul", { className: "sheet-loras" }, ...lines);
}
