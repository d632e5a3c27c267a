/** What the page remembers over reloads, where the browser lets it remember anything. */

const PREFIX = "genzo.";

/** What was kept under `name`, or `otherwise`. */
export function recall(name, otherwise) {
  return read(localStorage, name) ?? otherwise;
}

/** Keep `value` for every window of this browser. */
export function keep(name, value) {
  write(localStorage, name, value);
}

/** What was kept under `name` in this window. */
export function recallHere(name) {
  return read(sessionStorage, name);
}

/** Keep `value` for this window alone. */
export function keepHere(name, value) {
  write(sessionStorage, name, value);
}

function read(storage, name) {
  try {
    return JSON.parse(storage.getItem(PREFIX + name));
  } catch {
    return null;
  }
}

function write(storage, name, value) {
  try {
    storage.setItem(PREFIX + name, JSON.stringify(value));
  } catch {
    // A full or forbidden storage costs the memory, not the page.
  }
}
