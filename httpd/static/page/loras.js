/** The LoRAs of a job, each with its weight and the weight of its trigger words. */

import { element } from "./elements.js";
import { Shell, helpButton, helpOf, helpText, labelOf } from "./field.js";
import { fillNumber, numberFault, numberInput, sliderFor, typedNumber } from "./numbers.js";
import { loraFieldsOf } from "./schema.js";
import { say } from "./words.js";

const WEIGHTS = ["weight", "trigger_weight"];

/** The control of `loras`. */
export class LorasControl {
  /**
   * @param {import("./schema.js").Field} field
   * @param {{available_loras: any[], parameter_schema: any}} model
   */
  constructor(field, model) {
    this.field = field;
    this.available = model.available_loras;
    this.weights = loraFieldsOf(model.parameter_schema);
    this.rows = [];
    this.list = element("ul", { className: "loras" });
    this.picker = this.#picker();
    this.fault = element("p", { className: "fault", hidden: true });
    const label = labelOf(field);
    this.node = element(
      "fieldset",
      { className: "field" },
      element("legend", {}, label),
      element("div", { className: "field-head legend-help" }, helpButton("loras-help", label)),
      helpText("loras-help", helpOf(field)),
      this.list,
      this.picker.node,
      this.fault,
    );
  }

  read() {
    return this.rows.length ? { loras: this.rows.map((row) => row.read()) } : {};
  }

  write({ loras = [] }) {
    this.rows = [];
    this.list.replaceChildren();
    for (const lora of loras) this.#add(lora);
    this.#refresh();
  }

  check() {
    return this.rows.flatMap((row, index) =>
      row.faults().map(([name, fault]) => [`/loras/${index}/${name}`, fault]),
    );
  }

  mark(pointer, message) {
    const [, name, index, part] = pointer.split("/");
    if (name !== "loras") return false;
    const row = this.rows[Number(index)];
    if (row && index !== undefined) row.mark(part, message);
    else this.#tell(message);
    return true;
  }

  clear() {
    this.#tell(null);
    for (const row of this.rows) row.clear();
  }

  #tell(message) {
    this.fault.textContent = message ?? "";
    this.fault.hidden = !message;
  }

  #picker() {
    const options = this.available.map((lora) =>
      element("option", { value: lora.id, textContent: lora.name || lora.id }),
    );
    const select = element(
      "select",
      { "aria-label": say("chooseLora") },
      element("option", { value: "", textContent: say("chooseLora") }),
      ...options,
    );
    const add = element("button", {
      type: "button",
      textContent: say("addLora"),
      onclick: () => this.#pick(select),
    });
    return { select, add, node: element("div", { className: "lora-picker" }, select, add) };
  }

  #pick(select) {
    const lora = this.available.find((one) => one.id === select.value);
    if (!lora) {
      select.focus();
      return;
    }
    this.#add(lora);
    select.value = "";
    this.#changed();
    this.rows.at(-1).focus();
  }

  #add(asked) {
    const known = this.available.find((one) => one.id === asked.id);
    const row = new LoraRow(asked, known, this.weights, () => {
      this.rows = this.rows.filter((one) => one !== row);
      row.node.remove();
      this.#changed();
      this.picker.select.focus();
    });
    this.rows.push(row);
    this.list.append(row.node);
  }

  #changed() {
    this.#refresh();
    this.node.dispatchEvent(new Event("input", { bubbles: true }));
  }

  #refresh() {
    const used = new Set(this.rows.map((row) => row.id));
    for (const option of this.picker.select.options) option.disabled = used.has(option.value);
    this.picker.add.disabled = this.rows.length >= (this.field.longest ?? Infinity);
    this.list.hidden = this.rows.length === 0;
  }
}

let rowsMade = 0;

class LoraRow {
  constructor(asked, known, fields, onRemove) {
    this.id = asked.id;
    rowsMade += 1;
    const name = known?.name || asked.id;
    this.parts = WEIGHTS.map((weight) => this.#part(weight, fields.get(weight), asked, known));
    this.fault = element("p", { className: "fault", hidden: true });
    this.node = element(
      "li",
      { className: "lora" },
      element(
        "div",
        { className: "lora-head" },
        element("strong", {}, name),
        element("button", {
          type: "button",
          className: "plain icon",
          textContent: "✕",
          "aria-label": say("removeLora", { name }),
          onclick: onRemove,
        }),
      ),
      note(known),
      this.fault,
      ...this.parts.map((part) => part.shell.node),
    );
  }

  read() {
    return Object.fromEntries([
      ["id", this.id],
      ...this.parts.map(({ field, input }) => [field.name, typedNumber(input) ?? field.initial]),
    ]);
  }

  faults() {
    return this.parts
      .map(({ field, input }) => [field.name, numberFault(field, input)])
      .filter(([, fault]) => fault);
  }

  mark(name, message) {
    const part = this.parts.find(({ field }) => field.name === name);
    if (part) part.shell.mark(message);
    else this.#tell(message);
  }

  clear() {
    this.#tell(null);
    for (const part of this.parts) part.shell.mark(null);
  }

  focus() {
    this.parts[0].input.focus();
  }

  #tell(message) {
    this.fault.textContent = message ?? "";
    this.fault.hidden = !message;
  }

  #part(name, field, asked, known) {
    const input = numberInput(field);
    const slider = sliderFor(input, field);
    const id = `lora-${rowsMade}-${name}`;
    const shell = new Shell({ id, label: labelOf(field), help: "", control: input, aside: input });
    shell.fault.before(slider);
    fillNumber(input, asked[name] ?? known?.[name] ?? field.initial);
    return { field, input, shell };
  }
}

function note(known) {
  if (!known) return element("p", { className: "dim" }, say("loraMissing"));
  const words = (known.trigger_words ?? []).join(", ");
  return words ? element("p", { className: "dim" }, say("triggerWords", { words })) : null;
}
