/** Width and height: shapes of about the model's own area, or the reader's own size. */

import { element, place } from "./elements.js";
import { Shell, helpButton, helpOf, helpText, labelOf } from "./field.js";
import { fillNumber, numberFault, numberInput, typedNumber } from "./numbers.js";
import { say } from "./words.js";

const RATIOS = [
  [9, 16],
  [2, 3],
  [1, 1],
  [3, 2],
  [16, 9],
];
const ICON_PX = 18;

/** The control of `width` and `height`. */
export class SizeControl {
  /**
   * @param {import("./schema.js").Field} width
   * @param {import("./schema.js").Field} height
   */
  constructor(width, height) {
    this.fields = { width, height };
    this.inputs = { width: numberInput(width), height: numberInput(height) };
    this.shells = {
      width: this.#shell(width, this.inputs.width),
      height: this.#shell(height, this.inputs.height),
    };
    this.shapes = RATIOS.map((ratio) => this.#shape(ratio));
    this.node = this.#node();
    this.node.addEventListener("input", (event) => {
      if (event.target.type === "number") this.#choose();
    });
  }

  read() {
    const values = Object.entries(this.inputs).map(([name, input]) => [name, typedNumber(input)]);
    return Object.fromEntries(
      values.filter(([name, value]) => value !== null && value !== this.fields[name].initial),
    );
  }

  write(values) {
    for (const [name, input] of Object.entries(this.inputs)) {
      fillNumber(input, values[name] ?? this.fields[name].initial);
    }
    this.#choose();
  }

  check() {
    return Object.entries(this.inputs)
      .map(([name, input]) => [`/${name}`, numberFault(this.fields[name], input)])
      .filter(([, fault]) => fault);
  }

  mark(pointer, message) {
    const shell = this.shells[pointer.slice(1)];
    shell?.mark(message);
    return shell !== undefined;
  }

  clear() {
    this.shells.width.mark(null);
    this.shells.height.mark(null);
  }

  #node() {
    const label = say("label.size");
    const help = helpOf(
      { ...this.fields.width, name: "size" },
      {
        multiple: this.fields.width.step ?? 1,
        width: this.fields.width.initial,
        height: this.fields.height.initial,
      },
    );
    const swap = element("button", {
      type: "button",
      className: "swap",
      textContent: "⇄",
      "aria-label": say("swapSides"),
      onclick: () => this.#swap(),
    });
    return element(
      "fieldset",
      { className: "field size" },
      element("legend", {}, label),
      element("div", { className: "field-head legend-help" }, helpButton("size-help", label)),
      helpText("size-help", help),
      element("div", { className: "shapes" }, ...this.shapes.map((shape) => shape.node)),
      element("div", { className: "sides" }, this.shells.width.node, swap, this.shells.height.node),
    );
  }

  #shell(field, control) {
    return new Shell({ id: `field-${field.name}`, label: labelOf(field), help: "", control });
  }

  #shape([across, down]) {
    const input = element("input", {
      type: "radio",
      name: "shape",
      className: "hidden",
      "aria-label": say("byRatio", { width: across, height: down }),
      onchange: () => this.#take(sizeOf(across / down, this.fields)),
    });
    const frame = element("span", { className: "shape-frame" });
    place(frame, frameOf(across / down));
    const words = element("span", { className: "shape-words" }, `${across}:${down}`);
    return { ratio: across / down, input, node: element("label", {}, input, frame, words) };
  }

  #swap() {
    const [width, height] = [this.inputs.width.value, this.inputs.height.value];
    this.#take({ width: height, height: width });
    this.#choose();
  }

  #take({ width, height }) {
    fillNumber(this.inputs.width, width);
    fillNumber(this.inputs.height, height);
    this.inputs.width.dispatchEvent(new Event("input", { bubbles: true }));
  }

  /** Mark the shape that the typed size is, if it is one. */
  #choose() {
    const [width, height] = [Number(this.inputs.width.value), Number(this.inputs.height.value)];
    for (const { ratio, input } of this.shapes) {
      const size = sizeOf(ratio, this.fields);
      input.checked = size.width === width && size.height === height;
    }
  }
}

/**
 * The size nearest to `ratio` whose area is about that of the model's own size.
 *
 * Sides move in sixteenths of the shorter one of the model's own: for SDXL's 1024 that gives the
 * sizes it was trained at (832 × 1216, 1344 × 768, …).
 * @returns {{width: number, height: number}}
 */
export function sizeOf(ratio, { width, height }) {
  const own = [width.initial ?? 1024, height.initial ?? 1024];
  if (ratio === own[0] / own[1]) return { width: own[0], height: own[1] };
  const multiple = width.step ?? 1;
  const step = Math.max(multiple, Math.floor(Math.min(...own) / 16 / multiple) * multiple);
  const area = own[0] * own[1];
  let best = { width: own[0], height: own[1], cost: Infinity };
  for (let across = step; across <= (width.most ?? area); across += step) {
    const down = Math.floor(area / across / step) * step;
    if (across < (width.least ?? 1) || down < (height.least ?? 1)) continue;
    const cost = Math.abs(Math.log(across / down / ratio)) + 1 - (across * down) / area;
    if (cost < best.cost) best = { width: across, height: down, cost };
  }
  return { width: best.width, height: best.height };
}

function frameOf(ratio) {
  return {
    width: ratio >= 1 ? ICON_PX : Math.round(ICON_PX * ratio),
    height: ratio >= 1 ? Math.round(ICON_PX / ratio) : ICON_PX,
  };
}
