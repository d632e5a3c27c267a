/** The seed: a number, or a new one for every job. */

import { element } from "./elements.js";
import { Control } from "./controls.js";
import { fillNumber, numberFault, numberInput, typedNumber } from "./numbers.js";
import { say } from "./words.js";

/** The control of `seed`. A number that is not in use is remembered. */
export class SeedControl extends Control {
  constructor(field) {
    const input = numberInput(field);
    const random = element("input", { type: "checkbox", className: "switch", checked: true });
    const label = element("label", { className: "aside" }, random, say("randomSeed"));
    super(field, input, { aside: label });
    this.random = random;
    random.addEventListener("change", () => this.#show(true));
  }

  value() {
    return this.random.checked ? null : typedNumber(this.input);
  }

  fill(value) {
    this.random.checked = value === null;
    if (value !== null) fillNumber(this.input, value);
    this.#show(false);
  }

  check() {
    if (this.random.checked) return [];
    const { least = 0, most = Number.MAX_SAFE_INTEGER } = this.field;
    const isEmpty = this.input.value === "";
    const fault = isEmpty ? say("wholeNumber") : numberFault({ ...this.field, least, most }, this.input);
    return fault ? [["/seed", fault]] : [];
  }

  #show(byHand) {
    this.input.disabled = this.random.checked;
    if (this.random.checked || this.input.value !== "") return;
    fillNumber(this.input, Math.floor(Math.random() * 2 ** 32));
    if (byHand) this.input.select();
  }
}
