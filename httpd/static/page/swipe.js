/** Swipes of a finger: to the side, and down. */

const FAR_PX = 48;
const STRAIGHT = 1.4;

/**
 * @param {HTMLElement} node
 * @param {{onSide: (step: 1 | -1) => void, onDown: () => void}} told `step` is 1 for a swipe to the
 * left, which shows what comes next.
 */
export function onSwipe(node, { onSide, onDown }) {
  let begun = null;
  node.addEventListener("pointerdown", (event) => {
    // A second finger makes it a pinch.
    begun = event.isPrimary && event.pointerType === "touch" ? event : null;
  });
  node.addEventListener("pointercancel", () => {
    begun = null;
  });
  node.addEventListener("pointerup", (event) => {
    if (!begun || event.pointerId !== begun.pointerId) return;
    const [across, down] = [event.clientX - begun.clientX, event.clientY - begun.clientY];
    begun = null;
    if (node.classList.contains("actual") || window.visualViewport?.scale > 1.01) return;
    if (Math.abs(across) > FAR_PX && Math.abs(across) > STRAIGHT * Math.abs(down)) {
      onSide(across < 0 ? 1 : -1);
    } else if (down > FAR_PX && down > STRAIGHT * Math.abs(across)) onDown();
  });
}
