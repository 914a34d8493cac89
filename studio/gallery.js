/** The characters made so far: every job of this user, newest first. */

import { fill, icon, make } from "./dom.js";
import { ask, askJson, fetchBlob } from "./service.js";
import { currentLanguage } from "./words.js";

const PAGE = 24;

/** Build the page. */
export function showGallery(main) {
  return new Gallery(main);
}

class Gallery {
  constructor(main) {
    this.cards = make("ul", { class: "cards" });
    this.more = make("button", { type: "button", class: "button", hidden: true, say: "gallery.more", on: { click: () => this.load() } });
    this.note = make("p", { class: "soft", role: "status", say: "gallery.loading" });
    this.made = [];
    fill(main, make("div", { class: "hero" }, make("h1", { say: "gallery.title" })), this.note, this.cards, this.more);
    this.load();
  }

  leave() {
    this.made.forEach(URL.revokeObjectURL);
  }

  async load() {
    const query = new URLSearchParams({ limit: PAGE, ...(this.next ? { before: this.next } : {}) });
    try {
      const page = await askJson(`generate_character/jobs?${query}`);
      this.next = page.next;
      this.more.hidden = !page.next;
      this.cards.append(...page.jobs.map((job) => this.makeCard(job)));
      this.tellEmpty();
    } catch (error) {
      fill(this.note, make("span", { say: ["trouble.refused", { message: error.message }] }));
    }
  }

  tellEmpty() {
    fill(this.note, this.cards.children.length ? null : make("span", { say: "gallery.empty" }));
  }

  makeCard(job) {
    const when = new Date(job.created_at).toLocaleString(currentLanguage(), { dateStyle: "medium", timeStyle: "short" });
    const image = make("div", { class: "thumb" }, icon(job.status === "failed" ? "warn" : "picture"));
    const state = job.status === "processing" ? make("span", { class: "badge busy", say: ["gallery.processing", { progress: job.progress }] })
      : job.status === "failed" ? make("span", { class: "badge", say: job.cancelled ? "job.cancelled" : "job.failed" }) : null;
    const format = job.results?.rigged_character?.split(".").at(-1).toUpperCase();
    const link = make("a", { href: `#/job/${job.job_id}` }, image, make("span", { class: "when" }, when), format ? make("span", { class: "badge" }, format) : null, state);
    const card = make("li", { class: "card" }, link,
      make("button", { type: "button", class: "remove", says: { "aria-label": ["gallery.delete", { when }] }, on: { click: () => this.askDelete(job, card, when) } }, icon("trash")));
    this.loadThumb(job, image);
    return card;
  }

  async loadThumb(job, box) {
    const previews = job.downloads.filter((file) => file.result === "preview_images");
    const best = previews.find((file) => file.name.startsWith("preview_texture")) ?? previews[0];
    if (!best) return;
    const blob = await fetchBlob(best.url).catch(() => null);
    if (!blob) return;
    this.made.push(URL.createObjectURL(blob));
    fill(box, make("img", { src: this.made.at(-1), alt: "" }));
  }

  askDelete(job, card, when) {
    const dialog = make("dialog", { says: { "aria-label": "gallery.sure" } }, make("form", { method: "dialog" },
      make("h2", { say: "gallery.sure" }), make("p", { say: ["gallery.sure_hint", { when }] }),
      make("div", { class: "row" }, make("button", { value: "no", class: "button", say: "no" }), make("button", { value: "yes", class: "primary danger", say: "gallery.delete_it" }))));
    dialog.addEventListener("close", async () => {
      dialog.remove();
      if (dialog.returnValue !== "yes") return;
      await ask(`job/${job.job_id}`, { method: "DELETE" });
      card.remove();
      this.tellEmpty();
      document.getElementById("main").focus();
    });
    document.body.append(dialog);
    dialog.showModal();
  }
}
