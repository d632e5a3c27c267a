/** The form of a job, made from the schema of the model that is chosen. */

import { LorasControl } from "./loras.js";
import { SeedControl } from "./seed.js";
import { SizeControl } from "./size.js";
import { TextControl, controlFor } from "./controls.js";
import { Draft } from "./draft.js";
import { byId, element } from "./elements.js";
import { Shell } from "./field.js";
import { keep, recall } from "./memory.js";
import { UNKNOWN_MODEL, fieldsOf } from "./schema.js";
import { say } from "./words.js";

const SETTINGS = ["size", "count", "seed", "steps", "guidance_scale", "sampler", "loras"];
const WIDE = matchMedia("(min-width: 60rem)");
const NO_MODEL = {
  name: "",
  parameter_schema: UNKNOWN_MODEL,
  available_loras: [],
  suggested_prompts: [],
};

/** What a job asks for, as the reader sees and changes it. Kept over reloads. */
export class Form {
  constructor() {
    this.root = byId("fields");
    this.draft = new Draft();
    this.models = [];
    this.model = NO_MODEL;
    this.controls = [];
    this.shown = "";
    byId("form").addEventListener("input", () => this.#keep());
    byId("form").addEventListener("change", () => this.#keep());
  }

  /** Show the fields of the models that are served; what was written stays. */
  show(models) {
    const signature = JSON.stringify(models);
    if (signature === this.shown) return;
    this.shown = signature;
    this.models = models;
    this.#choose(this.draft.model);
  }

  /** The job as it would be sent: the prompt, and what differs from the model's own. */
  request() {
    const asked = { ...this.#read() };
    if (this.models.length > 1) asked.model = this.model.name;
    return asked;
  }

  /** What is wrong with it, as [pointer, message] pairs; empty if nothing is. */
  faults() {
    const values = { ...this.#defaults(), ...this.#read() };
    const faults = this.controls.flatMap((control) => control.check(values));
    return values.prompt?.trim() ? faults : [["/prompt", say("noPrompt")], ...faults];
  }

  /** Show faults at their fields; those that belong to none are returned. */
  mark(faults) {
    for (const control of this.controls) control.clear();
    const rest = faults.filter(
      ([pointer, message]) => !this.controls.some((control) => control.mark(pointer, message)),
    );
    const first = this.root.querySelector("[aria-invalid]");
    for (let node = first; node; node = node.parentElement) {
      if (node.tagName === "DETAILS") node.open = true;
    }
    first?.focus();
    return rest;
  }

  /** Take over the settings of a picture. */
  fill(request) {
    if (this.models.some((model) => model.name === request.model)) {
      this.draft.model = request.model;
    }
    const { model: _, ...values } = request;
    this.#choose(this.draft.model, values);
    this.#keep();
    this.focus();
  }

  focus() {
    const prompt = byId("field-prompt");
    prompt.focus({ preventScroll: true });
    prompt.scrollIntoView({ block: "center" });
  }

  #choose(name, values) {
    const models = this.models.length ? this.models : [NO_MODEL];
    const byName = models.find((model) => model.name === name);
    this.model = byName ?? models.find((model) => model.default) ?? models[0];
    const focused = document.activeElement?.id;
    const written = values ?? this.draft.of(this.model.name);
    // A field that leaves the document may tell of a change; what is kept is whole by then.
    this.controls = [];
    const controls = this.#build();
    for (const control of controls) control.write(written);
    this.controls = controls;
    if (focused) byId(focused)?.focus();
  }

  /** Put the model's fields into the page; their controls. */
  #build() {
    const fields = fieldsOf(this.model.parameter_schema);
    fields.delete("model");
    for (const [name, field] of fields) {
      // The model would refuse it; so it is not asked for.
      if (field.isRefused) fields.delete(name);
    }
    const prompts = ["prompt", "negative_prompt"].map((name) => this.#prompt(fields, name));
    const made = this.#controls(fields);
    const settings = SETTINGS.filter((name) => made.has(name)).map((name) => made.get(name));
    const more = [...made].filter(([name]) => !SETTINGS.includes(name)).map(([, one]) => one);
    const asked = prompts.filter(Boolean);
    const nodes = asked.map((control) => control.node);
    nodes.splice(1, 0, this.#examples());
    this.root.replaceChildren(
      ...[this.#picker(), ...nodes, this.#settings(settings), this.#more(more)].filter(Boolean),
    );
    return [...asked, ...settings, ...more];
  }

  #prompt(fields, name) {
    const field = fields.get(name);
    fields.delete(name);
    const placeholder = name === "prompt" ? (this.model.suggested_prompts[0] ?? "") : "";
    return field ? new TextControl(field, { rows: name === "prompt" ? 4 : 2, placeholder }) : null;
  }

  /** The controls of all fields but the prompts, by name. */
  #controls(fields) {
    const made = new Map();
    const { width, height, seed, loras, ...others } = Object.fromEntries(fields);
    if (width && height) made.set("size", new SizeControl(width, height));
    if (seed) made.set("seed", new SeedControl(seed));
    if (loras && this.model.available_loras.length) {
      made.set("loras", new LorasControl(loras, this.model));
    }
    for (const [name, field] of Object.entries(others)) {
      if (field.kind !== "list") made.set(name, controlFor(field, this.model.parameter_schema));
    }
    return made;
  }

  #picker() {
    if (this.models.length < 2) return null;
    const options = this.models.map(({ name }) =>
      element("option", { value: name, textContent: name, selected: name === this.model.name }),
    );
    const select = element("select", {}, ...options);
    select.addEventListener("change", () => {
      this.draft.model = select.value;
      this.#choose(select.value);
      this.#keep();
    });
    return new Shell({ id: "field-model", label: say("label.model"), help: "", control: select })
      .node;
  }

  #examples() {
    const prompts = this.model.suggested_prompts;
    if (!prompts.length) return null;
    const chips = prompts.map((prompt) =>
      element("button", {
        type: "button",
        className: "chip",
        textContent: prompt,
        onclick: () => this.#write({ prompt }),
      }),
    );
    return element("div", { className: "chips", role: "group", "aria-label": say("examples") }, ...chips);
  }

  #settings(controls) {
    const reset = element("button", {
      type: "button",
      className: "plain reset",
      textContent: say("reset"),
      onclick: () => this.#reset(),
    });
    const nodes = controls.map((control) => control.node);
    return section("settings", WIDE.matches, ...nodes, reset);
  }

  #more(controls) {
    return controls.length
      ? section("more", false, ...controls.map((control) => control.node))
      : null;
  }

  #write(values) {
    for (const control of this.controls) {
      if (control.field && control.field.name in values) control.write(values);
    }
    this.#keep();
    this.focus();
  }

  #reset() {
    const { prompt, negative_prompt } = this.#read();
    for (const control of this.controls) control.write({ prompt, negative_prompt });
    this.mark([]);
    this.#keep();
  }

  #read() {
    return Object.assign({}, ...this.controls.map((control) => control.read()));
  }

  #defaults() {
    const fields = fieldsOf(this.model.parameter_schema);
    return Object.fromEntries([...fields].map(([name, field]) => [name, field.initial]));
  }

  #keep() {
    if (this.controls.length) this.draft.keep(this.model.name, this.#read());
  }
}

/** A part of the form that can be folded away; whether it is stays as it was left. */
function section(name, isOpen, ...nodes) {
  const details = element(
    "details",
    { className: "section", open: recall(`open.${name}`, isOpen) },
    element("summary", {}, say(name)),
    ...nodes,
  );
  details.addEventListener("toggle", () => keep(`open.${name}`, details.open));
  return details;
}
