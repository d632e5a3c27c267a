/** Sending the form as a job, once however often it is asked for. */

import { announce } from "./announcer.js";
import { Refusal, post } from "./api.js";
import { byId, tell } from "./elements.js";
import { formatSeconds } from "./formats.js";
import { say } from "./words.js";

/** Sends what the form asks for; `onAccepted` is told of each job. */
export class Submission {
  /**
   * @param {import("./form.js").Form} form
   * @param {(accepted: {job_id: string, queue_position: number | null}, request: any) => void} onAccepted
   */
  constructor(form, onAccepted) {
    this.form = form;
    this.onAccepted = onAccepted;
    this.button = byId("submit");
    this.unanswered = null;
    this.isSending = false;
    // The second click of a double click asks for nothing new.
    this.button.addEventListener("click", (event) => {
      if (event.detail > 1) event.preventDefault();
    });
    byId("form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.#submit();
    });
    byId("form").addEventListener("keydown", (event) => {
      const isShortcut = event.key === "Enter" && (event.ctrlKey || event.metaKey);
      if (isShortcut && !event.repeat) byId("form").requestSubmit();
    });
  }

  async #submit() {
    if (this.isSending) return;
    const faults = this.form.faults();
    this.#show(faults);
    if (faults.length) return;
    this.isSending = true;
    this.button.setAttribute("aria-disabled", "true");
    try {
      await this.#send(this.form.request());
    } finally {
      this.isSending = false;
      this.button.removeAttribute("aria-disabled");
    }
  }

  async #send(request) {
    const key = this.#keyOf(request);
    try {
      const accepted = await post("/api/generate", request, { "Idempotency-Key": key });
      this.unanswered = null;
      announce(placeOf(accepted.queue_position));
      this.onAccepted(accepted, request);
    } catch (error) {
      if (error instanceof Refusal && error.status < 500) this.unanswered = null;
      this.#refused(error);
    }
  }

  /** The key of the last try, if that was the same job and nobody knows what became of it. */
  #keyOf(request) {
    const body = JSON.stringify(request);
    if (this.unanswered?.body !== body) this.unanswered = { body, key: randomKey() };
    return this.unanswered.key;
  }

  #refused(error) {
    if (!(error instanceof Refusal)) {
      tell(byId("form-fault"), say("offline"));
    } else if (error.errors.length) {
      this.#show(error.errors.map(({ pointer, detail }) => [pointer?.slice(1) ?? "", detail]));
    } else {
      tell(byId("form-fault"), sentenceOf(error));
    }
  }

  #show(faults) {
    const rest = this.form.mark(faults);
    tell(byId("form-fault"), rest.map(([, message]) => message).join(" "));
  }
}

function placeOf(position) {
  return position === null ? say("acceptedNow") : say("accepted", { position });
}

function sentenceOf({ status, retrySeconds, message }) {
  if (status === 429 && retrySeconds !== null) {
    return say("queueFullRetry", { span: formatSeconds(retrySeconds) });
  }
  if (status === 429) return say("queueFull");
  if (status === 507) return say("diskFull");
  return say("notAccepted", { reason: message });
}

function randomKey() {
  // crypto.randomUUID is missing where the page is served without TLS from another host.
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return [...bytes].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}
