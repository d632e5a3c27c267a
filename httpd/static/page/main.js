/** The page: puts the parts together. */

import { Form } from "./form.js";
import { Gallery } from "./gallery.js";
import { Health } from "./health.js";
import { Jobs } from "./jobs.js";
import { Submission } from "./submission.js";
import { Viewer } from "./viewer.js";
import { holdStill } from "./stillness.js";
import { watchSession } from "./session.js";
import { translate } from "./words.js";

translate(document);
watchSession();
holdStill();

const form = new Form();
const jobs = new Jobs(() => gallery.look());
const gallery = new Gallery({
  onOpen: (index) => viewer.open(index),
  onArrival: () => jobs.refresh(),
  onChange: () => viewer.refresh(),
});
const viewer = new Viewer(gallery, (request) => form.fill(request));
new Submission(form, (accepted, request) => {
  jobs.add(accepted, request);
  health.look();
});

let isStarted = false;
const health = new Health((info) => {
  form.show(info.models);
  if (isStarted) return;
  isStarted = true;
  jobs.refresh();
  gallery.start().then(() => viewer.openNamed());
});
health.look();
