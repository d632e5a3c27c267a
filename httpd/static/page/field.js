/** The shell around a form's control: its label, its help behind a button, and what is wrong. */

import { byId, element, tell } from "./elements.js";
import { knows, language, say } from "./words.js";

/** A field's name for people. */
export function labelOf(field) {
  return knows(`label.${field.name}`) ? say(`label.${field.name}`) : field.title;
}

/**
 * What the field means: in English as the model's schema says it, since that knows the model.
 * @param {Record<string, any>} [values] What the sentence names, such as the default width.
 */
export function helpOf(field, values = {}) {
  const key = `help.${field.name}`;
  const isOurs = language !== "en" && !field.isRefused && knows(key);
  return isOurs ? say(key, values) : field.help;
}

/** A labelled control; `mark` shows what is wrong with it. */
export class Shell {
  /**
   * @param {{id: string, label: string, help: string, control: any, aside?: Node | null}} parts
   * `aside` stands at the end of the label's line.
   */
  constructor({ id, label, help, control, aside = null }) {
    this.control = control;
    const explained = `${id}-help`;
    this.fault = element("p", { id: `${id}-fault`, className: "fault", hidden: true });
    const head = element("div", { className: "field-head" });
    head.append(element("label", { htmlFor: id, textContent: label }));
    if (help) head.append(helpButton(explained, label));
    if (aside) head.append(aside);
    control.id = id;
    control.setAttribute("aria-describedby", `${help ? explained : ""} ${this.fault.id}`.trim());
    this.node = element("div", { className: "field", "data-field": id }, head);
    if (control !== aside) this.node.append(control);
    if (help) this.node.append(helpText(explained, help));
    this.node.append(this.fault);
  }

  /** Say what is wrong; nothing takes it back. */
  mark(message) {
    tell(this.fault, message);
    if (message) this.control.setAttribute("aria-invalid", "true");
    else this.control.removeAttribute("aria-invalid");
  }
}

/** A button that shows and hides the help of `label`. */
export function helpButton(helpId, label) {
  const button = element("button", {
    type: "button",
    className: "help-button",
    textContent: "?",
    "aria-label": say("aboutField", { field: label }),
    "aria-expanded": "false",
    "aria-controls": helpId,
    onclick: () => {
      const text = byId(helpId);
      text.hidden = !text.hidden;
      button.setAttribute("aria-expanded", String(!text.hidden));
    },
  });
  return button;
}

/** The text behind a help button. */
export function helpText(id, text) {
  return element("p", { id, className: "help", hidden: true, textContent: text });
}
