/**
 * Keeping in place what the reader looks at, while the queue above it grows and shrinks, and what
 * the reader's finger is on.
 */

import { byId } from "./elements.js";

let before = 0;

/** Watch what stands above the gallery; browsers differ in whether they make up for it. */
export function holdStill() {
  const gallery = byId("gallery");
  settle();
  const watch = () => {
    const change = gallery.offsetTop - before;
    settle();
    if (change && gallery.getBoundingClientRect().top < 0) {
      window.scrollBy({ top: change, behavior: "instant" });
    }
  };
  const observer = new ResizeObserver(watch);
  for (const id of ["notice", "pause", "queue", "form"]) observer.observe(byId(id));
}

/** The page was scrolled to where it shall be, by what stands above the gallery now. */
export function settle() {
  before = byId("gallery").offsetTop;
}

let isPressed = false;
const waiting = new Set();

addEventListener("pointerdown", () => (isPressed = true), true);
for (const end of ["pointerup", "pointercancel"]) {
  // After the click, which comes behind it.
  addEventListener(end, () => setTimeout(release), true);
}

/**
 * Do what moves things once no button or finger is down: a click whose beginning and end meet
 * different things is lost. Asked for again before that, it is done once.
 * @param {() => void} move The same function each time.
 */
export function onceReleased(move) {
  if (isPressed) waiting.add(move);
  else move();
}

function release() {
  isPressed = false;
  const moves = [...waiting];
  waiting.clear();
  for (const move of moves) move();
}
