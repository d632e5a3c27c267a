/** A number of a form: typed, or drawn on a slider. */

import { element } from "./elements.js";
import { formatNumber } from "./formats.js";
import { say } from "./words.js";

/** A number input with its limits; an empty one means `field.initial`. */
export function numberInput(field) {
  return element("input", {
    type: "number",
    inputMode: field.kind === "integer" ? "numeric" : "decimal",
    min: field.least,
    max: field.most,
    // Any number may be typed; the arrows and the slider move by this much.
    step: stepOf(field),
    className: "number",
  });
}

/** A slider beside `input`. It is for the pointer: the input says the same to everybody else. */
export function sliderFor(input, field) {
  const slider = element("input", {
    type: "range",
    min: field.least,
    max: field.most,
    step: stepOf(field),
    tabIndex: -1,
    "aria-hidden": "true",
  });
  const follow = () => {
    slider.value = input.value;
    const share = (Number(slider.value) - slider.min) / (slider.max - slider.min);
    slider.style.setProperty("--share", String(share));
  };
  slider.addEventListener("input", () => {
    input.value = slider.value;
    input.dispatchEvent(new Event("input", { bubbles: true }));
  });
  input.addEventListener("input", follow);
  input.addEventListener("filled", follow);
  return slider;
}

/** Write a number from elsewhere than the keyboard. */
export function fillNumber(input, value) {
  input.value = value === null || value === undefined ? "" : String(value);
  input.dispatchEvent(new Event("filled"));
}

/** The number that was typed; null if none was. */
export function typedNumber(input) {
  return input.value === "" ? null : Number(input.value);
}

/** What is wrong with `value` in `field`, in the reader's words; null if nothing is. */
export function numberFault(field, input, most = field.most) {
  if (input.validity.badInput) return say(field.kind === "integer" ? "wholeNumber" : "aNumber");
  const value = typedNumber(input);
  if (value === null) return null;
  if (field.kind === "integer" && !Number.isInteger(value)) return say("wholeNumber");
  const isOutside = value < (field.least ?? -Infinity) || value > (most ?? Infinity);
  if (isOutside) {
    return say("between", { least: formatNumber(field.least), most: formatNumber(most) });
  }
  if (field.step && value % field.step !== 0) {
    const below = value - (value % field.step);
    return say("multipleOf", { step: field.step, below, above: below + field.step });
  }
  return null;
}

function stepOf(field) {
  if (field.step) return field.step;
  if (field.kind === "integer") return 1;
  const span = (field.most ?? 1) - (field.least ?? 0);
  if (span > 100) return 1;
  return span > 10 ? 0.1 : 0.05;
}
