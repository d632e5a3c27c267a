/** Numbers, times and spans as the reader's language writes them. */

import { locale, say } from "./words.js";

const numbers = new Intl.NumberFormat(locale, { maximumFractionDigits: 3 });
const instants = new Intl.DateTimeFormat(locale, { dateStyle: "medium", timeStyle: "medium" });

/** @param {number} value */
export function formatNumber(value) {
  return numbers.format(value);
}

/** An instant in ISO 8601, in the reader's time zone. */
export function formatInstant(text) {
  const instant = new Date(text);
  return Number.isNaN(instant.getTime()) ? String(text) : instants.format(instant);
}

/** A span in its two largest units, such as "1 min 20 s"; below ten seconds with a tenth. */
export function formatSeconds(seconds) {
  if (seconds < 10) return unit(Math.round(seconds * 10) / 10, "second");
  const whole = Math.round(seconds);
  if (whole < 60) return unit(whole, "second");
  if (whole < 3600) return joined([whole / 60, "minute"], [whole % 60, "second"]);
  return joined([whole / 3600, "hour"], [(whole % 3600) / 60, "minute"]);
}

/**
 * When a job will be done, such as "about 2 min", in one piece; nothing where nothing is known.
 * From two minutes on nobody knows it to the second.
 */
export function formatEta(seconds) {
  if (typeof seconds !== "number") return "";
  const known = seconds < 120 ? Math.max(1, Math.round(seconds)) : 60 * Math.round(seconds / 60);
  return say("about", { span: formatSeconds(known) }).replaceAll(" ", "\u00a0");
}

function joined(...parts) {
  return parts
    .map(([value, name]) => [Math.floor(value), name])
    .filter(([value]) => value > 0)
    .map(([value, name]) => unit(value, name))
    .join(" ");
}

function unit(value, name) {
  return new Intl.NumberFormat(locale, { style: "unit", unit: name, unitDisplay: "short" }).format(
    value,
  );
}
