/** The page's words in the reader's language. */

import { english } from "./english.js";
import { japanese } from "./japanese.js";

const TABLES = { en: english, ja: japanese };
/** So much of a prompt or a reason stands in a sentence of ours. */
const QUOTED_CHARS = 300;
/** Characters that turn the direction of what stands behind them, our own words included. */
const TURNS = /[\u202a-\u202e\u2066-\u2069]/g;

/** The first of the languages that the reader prefers in which there are words, such as "en-GB". */
export const locale = navigator.languages.find((tag) => shortOf(tag) in TABLES) ?? "en";

/** "en" or "ja". */
export const language = shortOf(locale);

const plural = new Intl.PluralRules(language);
const number = new Intl.NumberFormat(locale);

/**
 * The sentence `key`, with `{name}` replaced by values; `count` chooses among plural forms.
 * @param {string} key
 * @param {Record<string, string | number>} [values]
 */
export function say(key, values = {}) {
  const entry = TABLES[language][key];
  const sentence =
    typeof entry === "string" ? entry : (entry[plural.select(values.count)] ?? entry.other);
  return sentence.replace(/\{(\w+)\}/g, (_, name) => shown(values[name]));
}

/** Whether there is a sentence `key`. */
export function knows(key) {
  return Object.hasOwn(TABLES[language], key);
}

/** Put the words of the reader's language where the page stands in English. */
export function translate(root) {
  document.documentElement.lang = language;
  for (const node of root.querySelectorAll("[data-text]")) node.textContent = say(node.dataset.text);
  for (const node of root.querySelectorAll("[data-label]"))
    node.setAttribute("aria-label", say(node.dataset.label));
  for (const node of root.querySelectorAll("[data-hint]")) node.placeholder = say(node.dataset.hint);
}

function shown(value) {
  return typeof value === "number" ? number.format(value) : quoted(String(value));
}

/** What others wrote, cut and without turns, as it may stand among our own words. */
export function quoted(written) {
  const text = written.replace(TURNS, "");
  return text.length > QUOTED_CHARS ? `${text.slice(0, QUOTED_CHARS)}…` : text;
}

function shortOf(tag) {
  return tag.slice(0, 2).toLowerCase();
}
