/** Keeping in place what the reader looks at, while the queue above it grows and shrinks. */

import { byId } from "./elements.js";

/** Watch what stands above the gallery; browsers differ in whether they make up for it. */
export function holdStill() {
  const gallery = byId("gallery");
  let before = gallery.offsetTop;
  const watch = () => {
    const change = gallery.offsetTop - before;
    before = gallery.offsetTop;
    if (change && gallery.getBoundingClientRect().top < 0) {
      window.scrollBy({ top: change, behavior: "instant" });
    }
  };
  const observer = new ResizeObserver(watch);
  for (const id of ["notice", "pause", "queue", "form"]) observer.observe(byId(id));
}
