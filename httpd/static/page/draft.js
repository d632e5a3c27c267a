/** What was written into the form, over reloads and changes of the model. */

import { keep, recall } from "./memory.js";

/** These mean the same to every model; the rest is remembered for each. */
const SHARED = ["prompt", "negative_prompt", "seed", "count", "priority", "not_before", "name"];

export class Draft {
  constructor() {
    const { model = "", shared = {}, own = {} } = recall("draft", {});
    this.model = model;
    this.shared = shared;
    this.own = own;
  }

  /** What was asked of `model` last. */
  of(model) {
    return { ...this.own[model], ...this.shared };
  }

  /** Remember what is asked of `model` now. */
  keep(model, request) {
    const isShared = ([name]) => SHARED.includes(name);
    const entries = Object.entries(request);
    this.shared = Object.fromEntries(entries.filter(isShared));
    this.own[model] = Object.fromEntries(entries.filter((entry) => !isShared(entry)));
    keep("draft", { model: this.model, shared: this.shared, own: this.own });
  }
}
