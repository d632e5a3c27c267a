/**
 * An event stream that lasts: it comes back by itself, and pauses while nobody looks.
 *
 * A browser opens six connections to a server at most, over all its windows, so a hidden window
 * holds none.
 */

import { noteLost } from "./api.js";

const RETRY_MS = 3000;

export class Follow {
  /**
   * @param {string} path
   * @param {{onData: (data: any) => boolean | void, onOpen?: () => void}} listeners `onData` says
   * true when nothing more is to come; `onOpen` is told of each connection.
   */
  constructor(path, { onData, onOpen }) {
    this.path = path;
    this.onData = onData;
    this.onOpen = onOpen;
    this.source = null;
    this.timer = 0;
    this.onVisibility = () => (document.hidden ? this.#close() : this.#open());
    document.addEventListener("visibilitychange", this.onVisibility);
    this.onVisibility();
  }

  /** Listen no more. */
  stop() {
    document.removeEventListener("visibilitychange", this.onVisibility);
    this.#close();
  }

  #open() {
    if (this.source) return;
    const source = new EventSource(this.path);
    this.source = source;
    source.onopen = () => this.onOpen?.();
    source.onmessage = (event) => {
      if (this.onData(JSON.parse(event.data))) this.stop();
    };
    source.onerror = () => {
      // A lost connection comes back by itself; one that was refused does not.
      if (source.readyState !== EventSource.CLOSED) noteLost();
      else this.#retry();
    };
  }

  #retry() {
    this.#close();
    this.timer = setTimeout(() => this.onVisibility(), RETRY_MS);
  }

  #close() {
    clearTimeout(this.timer);
    this.source?.close();
    this.source = null;
  }
}
