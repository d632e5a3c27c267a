/**
 * A form's controls, one for each kind of field of a schema.
 *
 * Each has `node`; `read()`, the fields that differ from the model's own; `write(values)`, which
 * takes what `read` gives; `check(read)`, what is wrong as [pointer, message] pairs; `mark(pointer,
 * message)`, true if the fault is its own.
 */

import { element } from "./elements.js";
import { Shell, helpOf, labelOf } from "./field.js";
import { fillNumber, numberFault, numberInput, sliderFor, typedNumber } from "./numbers.js";
import { mostOf } from "./schema.js";
import { say } from "./words.js";

/** The control of one field of its own. */
export function controlFor(field, schema) {
  const { kind } = field;
  if (kind === "integer" || kind === "number") return new NumberControl(field, schema);
  if (kind === "choice") return new ChoiceControl(field);
  if (kind === "switch") return new SwitchControl(field);
  if (kind === "instant") return new InstantControl(field);
  return new LineControl(field);
}

/** What the controls of a single field share; `input` is what the reader touches. */
export class Control {
  constructor(field, input, { label = labelOf(field), help = helpOf(field), aside = null } = {}) {
    this.field = field;
    this.input = input;
    this.shell = new Shell({ id: `field-${field.name}`, label, help, control: input, aside });
    this.node = this.shell.node;
  }

  read() {
    const value = this.value();
    const isOwn = value === null || value === this.field.initial;
    return isOwn ? {} : { [this.field.name]: value };
  }

  write(values) {
    this.fill(values[this.field.name] ?? this.field.initial);
  }

  check() {
    return [];
  }

  mark(pointer, message) {
    const isOwn = pointer === `/${this.field.name}`;
    if (isOwn) this.shell.mark(message);
    return isOwn;
  }

  clear() {
    this.shell.mark(null);
  }
}

class NumberControl extends Control {
  constructor(field, schema) {
    const input = numberInput(field);
    super(field, input, { aside: input });
    this.schema = schema;
    const isBounded = field.least !== undefined && field.most !== undefined;
    if (isBounded && field.most <= 1000) this.shell.fault.before(sliderFor(input, field));
  }

  value() {
    return typedNumber(this.input);
  }

  fill(value) {
    fillNumber(this.input, value);
  }

  check(values) {
    const fault = numberFault(this.field, this.input, mostOf(this.schema, this.field, values));
    return fault ? [[`/${this.field.name}`, fault]] : [];
  }
}

class ChoiceControl extends Control {
  constructor(field) {
    const options = field.choices.map((value) => element("option", { value, textContent: value }));
    super(field, element("select", {}, ...options));
  }

  value() {
    return this.input.value;
  }

  fill(value) {
    this.input.value = value ?? this.field.choices[0];
  }
}

class SwitchControl extends Control {
  constructor(field) {
    const input = element("input", { type: "checkbox", className: "switch" });
    super(field, input, { aside: input });
  }

  value() {
    return this.input.checked;
  }

  fill(value) {
    this.input.checked = value === true;
  }
}

class LineControl extends Control {
  constructor(field) {
    super(field, element("input", { type: "text", maxLength: field.longest }));
  }

  value() {
    return this.input.value === "" ? null : this.input.value;
  }

  fill(value) {
    this.input.value = value ?? "";
  }
}

class InstantControl extends Control {
  constructor(field) {
    super(field, element("input", { type: "datetime-local" }));
  }

  value() {
    return this.input.value === "" ? null : new Date(this.input.value).toISOString();
  }

  fill(value) {
    this.input.value = value ? localMinute(new Date(value)) : "";
  }
}

/** A prompt: as tall as its text. */
export class TextControl extends Control {
  constructor(field, { rows, placeholder = "" }) {
    super(field, element("textarea", { rows, placeholder, spellcheck: false, lang: "", dir: "auto" }));
  }

  value() {
    return this.input.value === "" ? null : this.input.value;
  }

  fill(value) {
    this.input.value = value ?? "";
  }

  check() {
    const { longest = Infinity } = this.field;
    const isTooLong = [...this.input.value].length > longest;
    return isTooLong ? [[`/${this.field.name}`, say("tooLong", { count: longest })]] : [];
  }
}

/** The instant in the form's own notation, in the reader's time zone. */
function localMinute(instant) {
  const local = new Date(instant.getTime() - instant.getTimezoneOffset() * 60000);
  return local.toISOString().slice(0, 16);
}
