/** The page where a character begins: pictures, what is read in them, options, and the start. */

import { announce, fill, icon, make } from "./dom.js";
import { Landmarks } from "./landmarks.js";
import { Options } from "./options.js";
import { FRONT, Pictures } from "./pictures.js";
import { sendForm, ServiceError } from "./service.js";
import { knows } from "./words.js";

/** Options that change what is read: the job that follows takes the check's reading where they are the same. */
const READ = new Set(["figure", "views", "mesh_input_size", "outline_size"]);

/** Build the page. */
export function showCreate(main, open) {
  return new Create(main, open);
}

class Create {
  constructor(main, open) {
    this.open = open;
    this.pictures = new Pictures((file) => this.look(file), (key, values) => this.complain(key, values));
    this.options = new Options();
    this.found = make("div", { class: "found", "aria-live": "polite" });
    this.pictures.stage.after(this.found);
    this.trouble = make("p", { class: "trouble", role: "alert" });
    this.button = make("button", { type: "button", class: "primary", disabled: true, on: { click: () => this.start() } }, make("span", { say: "create.start" }));
    fill(main, make("div", { class: "hero" }, make("h1", { say: "create.title" }), make("p", { class: "soft", say: "create.lead" })),
      make("div", { class: "create" },
        this.pictures.element,
        make("div", { class: "column card" }, make("h2", { say: "options.title" }), this.options.element,
          make("div", { class: "go" }, this.trouble, this.button, make("p", { class: "soft", say: "create.note" })))));
    this.options.load().catch((error) => this.complain("trouble.connection", { message: error.message }));
  }

  leave() {
    this.looking?.abort();
  }

  complain(key, values) {
    fill(this.trouble, icon("warn"), make("span", { say: [key, values] }));
  }

  /** Have the service read the front's picture, and draw what it found. */
  async look(file) {
    this.looking?.abort();
    this.landmarks = null;
    this.button.disabled = !file;
    fill(this.found);
    fill(this.trouble);
    if (!file || this.pictures.isSheet) return;
    this.looking = new AbortController();
    fill(this.found, make("p", { class: "busy", say: "check.busy" }));
    const form = new FormData();
    form.append("image", file, "picture.png");
    for (const [name, value] of this.options.parts()) if (READ.has(name)) form.append(name, value);
    try {
      this.show(file, await sendForm("character/check", form, { signal: this.looking.signal }));
    } catch (error) {
      if (error.name === "AbortError") return;
      fill(this.found, make("p", { class: "warning" }, icon("warn"), make("span", { say: ["check.failed", { message: error.message }] })));
    }
  }

  show(file, check) {
    this.landmarks = new Landmarks(URL.createObjectURL(file), check, () => this.tellMoved());
    this.pictures.showFront(this.landmarks.element);
    this.reset = make("button", { type: "button", class: "link", hidden: true, say: "landmarks.reset", on: { click: () => this.landmarks.reset() } });
    const warnings = check.warnings.map((text) => make("li", { class: "warning" }, icon("warn"), make("span", { lang: "en", textContent: text })));
    fill(this.found,
      make("p", { class: "kind" }, icon("check"), make("strong", { say: `kind.${check.kind}` }), make("span", { class: "soft", say: "landmarks.hint" })),
      warnings.length ? make("ul", { class: "warnings" }, warnings) : null, this.reset);
    announce(`kind.${check.kind}`);
  }

  tellMoved() {
    this.reset.hidden = !this.landmarks.moved.size;
  }

  async start() {
    this.looking?.abort();
    fill(this.trouble);
    const form = new FormData();
    for (const [name, value] of [...this.pictures.parts(), ...this.options.parts()]) form.append(name, value);
    const corrections = this.pictures.isSheet ? "" : this.landmarks?.corrections();
    if (corrections) form.append("corrections", corrections);
    this.button.disabled = true;
    try {
      const accepted = await sendForm("generate_character", form, { headers: { "Idempotency-Key": crypto.randomUUID?.() ?? String(Math.random()) } });
      this.open(accepted.job_id);
    } catch (error) {
      this.explain(error);
    } finally {
      this.button.disabled = !this.pictures.files.has(FRONT);
    }
  }

  explain(error) {
    if (!(error instanceof ServiceError)) return this.complain("trouble.connection", { message: error.message });
    const key = `trouble.${error.details.reason ?? error.status}`;
    this.complain(knows(key) ? key : "trouble.refused", { message: error.message, seconds: error.retryAfter ?? "60" });
    this.options.point(error.details.parameter);
  }
}
