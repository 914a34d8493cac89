/** The page of one job: its stages and their pictures while it runs, then its result. */

import { announce, fill, icon, make } from "./dom.js";
import { findStage } from "./files.js";
import { ask, fetchBlob, followJob } from "./service.js";
import { say } from "./words.js";

const STAGES = ["preprocessing", "mesh_generation", "generating_multiview_texture", "texture_baking", "rigging"];

/** Build the page of a job. */
export function showJob(main, id, open) {
  return new JobPage(main, id, open);
}

/** The pictures of a status, in the order of the stages: {stage, url, group}. */
function listPictures(status) {
  const shown = (status.pictures ?? []).map((picture) => ({ stage: picture.stage, url: picture.url, group: picture.shows }));
  const previews = status.downloads.filter((file) => file.result === "preview_images").map((file) => ({ stage: findStage(file), url: file.url, group: findStage(file) }));
  return [...shown, ...previews].sort((a, b) => STAGES.indexOf(a.stage) - STAGES.indexOf(b.stage));
}

class JobPage {
  constructor(main, id, open) {
    Object.assign(this, { main, id, open, blobs: new Map(), chosen: null, stage: "" });
    this.build();
    this.stop = followJob(id, (status) => this.receive(status), (error) => this.lose(error));
  }

  leave() {
    this.stop();
    this.result?.leave();
    for (const made of this.blobs.values()) made.then(URL.revokeObjectURL, () => {});
  }

  build() {
    this.big = make("div", { class: "big" }, make("p", { class: "busy", say: "job.waiting" }));
    this.strip = make("div", { class: "strip", role: "group", says: { "aria-label": "job.pictures" } });
    this.bar = make("progress", { max: 100, value: 0, says: { "aria-label": "job.progress" } });
    this.percent = make("span", { class: "percent" });
    this.left = make("span", { class: "soft" });
    this.list = make("ol", { class: "stages" });
    this.heading = make("h1", { say: "job.title" });
    this.trouble = make("div", { class: "trouble", role: "alert" });
    this.cancel = make("button", { type: "button", class: "button", say: "job.cancel", on: { click: () => this.stopJob() } });
    this.panel = make("div", { class: "column card" }, this.heading, make("div", { class: "meter" }, this.bar, make("p", {}, this.percent, this.left)), this.list, this.trouble, this.cancel);
    fill(this.main, make("div", { class: "job" }, make("div", { class: "column" }, this.big, this.strip), this.panel));
  }

  receive(status) {
    this.status = status;
    this.bar.value = status.progress;
    this.percent.textContent = `${status.progress} %`;
    this.tellLeft(status);
    this.tellStages(status);
    this.showPictures(status);
    if (status.status === "completed") return this.finish(status);
    if (status.status === "failed") this.failed(status);
  }

  tellLeft(status) {
    const seconds = status.estimated_remaining_seconds;
    const key = status.queue_position ? "job.queued" : "job.left";
    this.left.textContent = status.status === "processing" ? say(key, { seconds, position: status.queue_position }) : "";
  }

  tellStages(status) {
    const names = status.stages.length ? status.stages : STAGES.map((name) => ({ name, status: "pending" }));
    const told = JSON.stringify(names);
    if (told === this.told) return;
    this.told = told;
    fill(this.list, names.map((stage) => make("li", { class: stage.status, ...(stage.status === "processing" ? { "aria-current": "step" } : {}) },
      make("span", { class: "state" }, stage.status === "completed" ? icon("check") : null),
      make("span", { say: `stage.${stage.name}` }),
      make("span", { class: "soft" }, stage.seconds == null ? "" : `${stage.seconds.toFixed(1)} s`),
      make("span", { class: "unseen", say: `state.${stage.status}` }))));
    const now = status.current_stage ?? "";
    if (now !== this.stage && STAGES.includes(now)) announce("job.now", { stage: say(`stage.${now}`) });
    this.stage = now;
  }

  /** An address of a picture that an <img> can show; each is fetched once. */
  load(url) {
    if (!this.blobs.has(url)) this.blobs.set(url, fetchBlob(url).then((blob) => URL.createObjectURL(blob)));
    return this.blobs.get(url);
  }

  showPictures(status) {
    const groups = new Map();
    for (const picture of listPictures(status)) {
      if (!groups.has(picture.group)) groups.set(picture.group, []);
      groups.get(picture.group).push(picture.url);
    }
    const key = JSON.stringify([...groups]);
    if (key === this.shown) return;
    this.shown = key;
    this.groups = groups;
    [...groups].forEach(([group, urls], at) => {
      const there = this.strip.children[at];
      if (there?.dataset.group !== group) this.strip.insertBefore(this.makeTile(group, urls[0]), there ?? null);
    });
    const newest = [...groups.keys()].at(-1);
    if (newest && !this.result) this.choose(this.chosen && groups.has(this.chosen) ? this.chosen : newest);
  }

  makeTile(group, url) {
    const image = make("img", { alt: "" });
    const tile = make("button", { type: "button", data: { group }, on: { click: () => this.choose(group, true) } }, image, make("span", { say: `picture.${group}` }));
    this.load(url).then((address) => { image.src = address; }, () => tile.remove());
    return tile;
  }

  async choose(group, byHand = false) {
    if (byHand) this.chosen = group;
    this.press(group);
    this.wanted = group;
    const addresses = await Promise.all(this.groups.get(group).map((url) => this.load(url))).catch(() => []);
    const images = addresses.map((src) => make("img", { src, says: { alt: `picture.${group}` } }));
    await Promise.allSettled(images.map((image) => image.decode())); // the one before stays until this one can be drawn
    if (!images.length || this.wanted !== group || (this.result && !byHand)) return;
    const content = make("div", { class: images.length > 1 ? "several" : "single" }, images);
    if (this.result) this.result.showPicture(content);
    else fill(this.big, content);
  }

  /** Mark the picture that is shown, or none. */
  press(group) {
    for (const button of this.strip.children) button.setAttribute("aria-pressed", String(button.dataset.group === group));
  }

  async finish(status) {
    announce("job.done");
    this.cancel.remove();
    const { Result } = await import("./result.js");
    this.result = new Result(this, status);
    this.press(null);
  }

  failed(status) {
    this.cancel.remove();
    const isCancelled = status.cancelled === true;
    this.heading.replaceWith(make("h1", { say: isCancelled ? "job.cancelled" : "job.failed" }));
    const details = make("p", { lang: "en", textContent: `${status.error}. ${status.error_details}` });
    const files = status.downloads.length ? [make("p", { class: "soft", say: "job.kept" })] : [];
    fill(this.trouble, isCancelled ? [] : details, files, make("a", { class: "button", href: "#/", say: "job.again" }));
    if (status.downloads.length) import("./files.js").then(({ showFiles }) => this.panel.append(showFiles(status)));
  }

  lose(error) {
    fill(this.big, make("p", { class: "soft", say: error.status === 410 ? "job.gone" : error.status === 404 ? "job.unknown" : ["trouble.refused", { message: error.message }] }));
    this.panel.hidden = true;
  }

  async stopJob() {
    this.cancel.disabled = true;
    await ask(`job/${this.id}/cancel`, { method: "POST" });
  }
}
