/** The queue as it is seen: what runs, with its preview, and what waits. */

import { byId, element, tell } from "./elements.js";
import { formatEta } from "./formats.js";
import { quoted, say } from "./words.js";

const WAITING_SHOWN = 6;

export class QueueView {
  /** @param {{onCancel: (id: string) => void, onDismiss: (id: string) => void}} actions */
  constructor(actions) {
    this.actions = actions;
    this.cards = new Map();
    this.lines = new Map();
  }

  /**
   * Show the unfinished jobs, in their order, and failed ones.
   * @param {any[]} jobs
   * @param {Map<string, string>} previews Data URLs by job id.
   */
  show(jobs, previews) {
    const running = jobs.filter(({ status }) => status === "processing" || status === "failed");
    const waiting = jobs.filter(({ status }) => status === "queued" || status === "held");
    const shown = waiting.slice(0, WAITING_SHOWN);
    byId("queue").hidden = jobs.length === 0;
    arrange(byId("running"), this.cards, running, (job) => new Card(job, this.actions));
    arrange(byId("waiting"), this.lines, shown, (job) => new Line(job, this.actions));
    for (const job of running) this.cards.get(job.job_id).update(job, previews.get(job.job_id));
    for (const job of shown) this.lines.get(job.job_id).update(job);
    const more = waiting.length - shown.length;
    tell(byId("waiting-more"), more ? say("moreWaiting", { count: more }) : "");
  }

  /** The job could not be cancelled: it can be tried again. */
  stillRuns(id) {
    this.cards.get(id)?.allow();
  }
}

/** A job that is being rendered, or has failed. */
class Card {
  constructor(job, { onCancel, onDismiss }) {
    const prompt = promptOf(job);
    this.job = job;
    this.preview = element("img", { className: "preview", alt: "", hidden: true });
    this.frame = element("div", { className: "preview-frame" }, this.preview);
    this.progress = element("progress", { "aria-label": say("progressOf", { prompt }) });
    this.facts = element("p", { className: "dim" });
    this.fault = element("p", { className: "fault", hidden: true });
    this.button = element("button", {
      type: "button",
      onclick: () => {
        if (this.job.status === "failed") onDismiss(job.job_id);
        else this.#stop(onCancel);
      },
    });
    this.node = element(
      "li",
      { className: "card" },
      this.frame,
      element(
        "div",
        { className: "card-text" },
        element("p", { className: "prompt", textContent: prompt, dir: "auto" }),
        this.progress,
        this.facts,
        this.fault,
        this.button,
      ),
    );
    const { width, height } = job.job ?? {};
    if (width && height) this.frame.style.setProperty("aspect-ratio", `${width} / ${height}`);
  }

  update(job, preview) {
    const isFailed = job.status === "failed";
    const prompt = promptOf(job);
    this.job = job;
    if (preview && this.preview.src !== preview) {
      this.preview.src = preview;
      this.preview.alt = say("previewOf", { prompt });
      this.preview.hidden = false;
    }
    this.frame.hidden = isFailed;
    this.progress.hidden = isFailed;
    if (job.total_steps) {
      this.progress.max = job.total_steps;
      this.progress.value = job.step;
    }
    tell(this.facts, isFailed ? "" : this.#words(job));
    tell(this.fault, isFailed ? `${say("failed")}: ${job.error?.detail ?? ""}` : "");
    const [text, label] = isFailed ? ["dismiss", "dismissJob"] : ["cancel", "cancelJob"];
    if (!this.isStopping || isFailed) {
      this.button.textContent = say(text);
      this.button.setAttribute("aria-label", say(label, { prompt }));
    }
  }

  #words(job) {
    const steps = job.total_steps
      ? say("steps", { step: job.step, total: job.total_steps })
      : say("starting");
    const count = job.request.count ?? 1;
    const pictures = count > 1 ? say("jobPictures", { count }) : "";
    return [steps, formatEta(job.eta_seconds), pictures].filter(Boolean).join(" · ");
  }

  /** Let it be cancelled again. */
  allow() {
    this.isStopping = false;
    this.button.removeAttribute("aria-disabled");
    this.button.textContent = say("cancel");
  }

  #stop(onCancel) {
    if (this.isStopping) return;
    this.isStopping = true;
    this.button.textContent = say("stopping");
    this.button.setAttribute("aria-disabled", "true");
    onCancel(this.job.job_id);
  }
}

/** A job that waits. */
class Line {
  constructor(job, { onCancel }) {
    const prompt = promptOf(job);
    this.place = element("span", { className: "place" });
    this.facts = element("span", { className: "dim facts" });
    this.node = element(
      "li",
      {},
      this.place,
      element("span", {
        className: "line-prompt",
        textContent: prompt,
        title: quoted(prompt),
        dir: "auto",
      }),
      this.facts,
      element("button", {
        type: "button",
        className: "plain icon",
        textContent: "✕",
        "aria-label": say("cancelJob", { prompt }),
        onclick: () => onCancel(job.job_id),
      }),
    );
  }

  update(job) {
    const position = job.queue_position;
    const isHeld = job.status === "held";
    const count = job.request.count ?? 1;
    this.place.textContent = isHeld ? say("held") : position ? say("position", { position }) : "";
    this.facts.textContent = [
      isHeld ? job.error?.detail : formatEta(job.eta_seconds),
      count > 1 ? say("jobPictures", { count }) : "",
    ]
      .filter(Boolean)
      .join(" · ");
  }
}

/** Make `list` hold the jobs' nodes in their order, each made once. */
function arrange(list, known, jobs, make) {
  const wanted = new Set(jobs.map((job) => job.job_id));
  for (const [id, item] of known) {
    if (wanted.has(id)) continue;
    item.node.remove();
    known.delete(id);
  }
  jobs.forEach((job, index) => {
    if (!known.has(job.job_id)) known.set(job.job_id, make(job));
    const { node } = known.get(job.job_id);
    if (list.children[index] !== node) list.insertBefore(node, list.children[index] ?? null);
  });
}

function promptOf(job) {
  return job.request.prompt ?? "";
}
