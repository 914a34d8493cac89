/** The six views of a result, to paint over and bake again; everything else of the job stays as it was. */

import { fill, icon, make } from "./dom.js";
import { ask, sendForm } from "./service.js";
import { preparePicture } from "./pictures.js";

const NAMES = ["front", "left", "back", "right", "top", "bottom"];

/** The page of the views. */
export class Painting {
  constructor(page, file) {
    Object.assign(this, { page, views: new Map(), changed: new Set(), past: [], color: "#c0392b", size: 24 });
    this.tiles = make("div", { class: "tiles", role: "group", says: { "aria-label": "paint.views" } });
    this.canvas = make("canvas", { class: "sheet", role: "img", says: { "aria-label": "paint.canvas" } });
    this.trouble = make("p", { class: "trouble", role: "alert" });
    this.bake = make("button", { type: "button", class: "primary", disabled: true, say: "paint.bake", on: { click: () => this.send() } });
    this.element = make("div", { class: "job" },
      make("div", { class: "column" }, make("div", { class: "big" }, this.canvas), this.tiles),
      make("div", { class: "column card" }, make("h1", { say: "paint.title" }), make("p", { class: "soft", say: "paint.hint" }), this.makeTools(), this.trouble, this.bake,
        make("button", { type: "button", class: "link", say: "paint.leave", on: { click: () => dispatchEvent(new HashChangeEvent("hashchange")) } })));
    this.canvas.addEventListener("pointerdown", (event) => this.draw(event));
    this.load(file);
  }

  makeTools() {
    const color = make("input", { type: "color", id: "paint-color", value: this.color, on: { input: (event) => { this.color = event.target.value; } } });
    const size = make("input", { type: "range", id: "paint-size", min: 2, max: 120, value: this.size, on: { input: (event) => { this.size = Number(event.target.value); } } });
    const pick = make("button", { type: "button", class: "chip", "aria-pressed": "false", say: "paint.pick", on: { click: () => this.setPicking(!this.isPicking) } });
    this.pick = pick;
    this.swatch = color;
    const file = make("input", { type: "file", accept: "image/*", id: "paint-file", on: { change: (event) => this.replace(event.target.files[0]) } });
    const undo = make("button", { type: "button", class: "chip", on: { click: () => this.undo() } }, icon("undo"), make("span", { say: "paint.undo" }));
    const save = make("button", { type: "button", class: "chip", on: { click: () => this.save() } }, icon("down"), make("span", { say: "paint.save" }));
    return make("div", { class: "fields" },
      make("div", { class: "field slider" }, make("label", { htmlFor: "paint-color", say: "paint.color" }), color),
      make("div", { class: "field slider" }, make("label", { htmlFor: "paint-size", say: "paint.size" }), size),
      make("div", { class: "tools-row" }, pick, undo, save),
      make("div", { class: "field" }, make("label", { htmlFor: "paint-file", say: "paint.replace" }), file));
  }

  async load(file) {
    const { unzipSync } = await import("./vendor/three/examples/jsm/libs/fflate.module.js");
    const entries = unzipSync(new Uint8Array(await (await ask(file.url)).arrayBuffer()));
    for (const name of NAMES) {
      const entry = Object.keys(entries).find((path) => path.split("/").at(-1) === `${name}.png`);
      if (entry) this.views.set(name, await this.read(new Blob([entries[entry]], { type: "image/png" })));
    }
    this.choose(this.views.keys().next().value);
  }

  async read(blob) {
    const bitmap = await createImageBitmap(blob);
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [bitmap.width, bitmap.height];
    canvas.getContext("2d").drawImage(bitmap, 0, 0);
    return canvas;
  }

  choose(name) {
    this.name = name;
    const view = this.views.get(name);
    [this.canvas.width, this.canvas.height] = [view.width, view.height];
    this.show();
  }

  show() {
    this.canvas.getContext("2d").drawImage(this.views.get(this.name), 0, 0);
    fill(this.tiles, [...this.views].map(([name, view]) => {
      const small = make("canvas", { width: 96, height: 96, "aria-hidden": "true" });
      small.getContext("2d").drawImage(view, 0, 0, 96, 96);
      return make("button", { type: "button", "aria-pressed": String(name === this.name), on: { click: () => this.choose(name) } }, small,
        make("span", { say: `view.${name}` }), this.changed.has(name) ? make("span", { class: "badge", say: "paint.changed" }) : null);
    }));
    this.bake.disabled = !this.changed.size;
  }

  setPicking(isPicking) {
    this.isPicking = isPicking;
    this.pick.setAttribute("aria-pressed", String(isPicking));
  }

  place(event) {
    const box = this.canvas.getBoundingClientRect();
    return [((event.clientX - box.left) * this.canvas.width) / box.width, ((event.clientY - box.top) * this.canvas.height) / box.height];
  }

  draw(event) {
    event.preventDefault();
    const view = this.views.get(this.name);
    const pen = view.getContext("2d");
    let [x, y] = this.place(event);
    if (this.isPicking) return this.take(pen, x, y);
    this.remember();
    this.canvas.setPointerCapture(event.pointerId);
    Object.assign(pen, { strokeStyle: this.color, lineWidth: this.size, lineCap: "round", lineJoin: "round" });
    const stroke = (moved) => {
      const [toX, toY] = this.place(moved);
      pen.beginPath();
      pen.moveTo(x, y);
      pen.lineTo(toX + 0.01, toY);
      pen.stroke();
      [x, y] = [toX, toY];
      this.canvas.getContext("2d").drawImage(view, 0, 0);
    };
    stroke(event);
    this.canvas.onpointermove = stroke;
    this.canvas.onpointerup = () => {
      this.canvas.onpointermove = null;
      this.show();
    };
  }

  take(pen, x, y) {
    const [r, g, b] = pen.getImageData(x, y, 1, 1).data;
    this.color = this.swatch.value = `#${[r, g, b].map((value) => value.toString(16).padStart(2, "0")).join("")}`;
    this.setPicking(false);
  }

  remember() {
    const view = this.views.get(this.name);
    this.past.push([this.name, view.getContext("2d").getImageData(0, 0, view.width, view.height), this.changed.has(this.name)]);
    this.past.splice(0, this.past.length - 12);
    this.changed.add(this.name);
  }

  undo() {
    const last = this.past.pop();
    if (!last) return;
    const [name, pixels, wasChanged] = last;
    this.views.get(name).getContext("2d").putImageData(pixels, 0, 0);
    if (!wasChanged) this.changed.delete(name);
    this.choose(name);
  }

  async replace(file) {
    if (!file) return;
    this.remember();
    const view = this.views.get(this.name);
    view.getContext("2d").drawImage(await createImageBitmap(await preparePicture(file)), 0, 0, view.width, view.height);
    this.show();
  }

  save() {
    this.views.get(this.name).toBlob(async (blob) => (await import("./service.js")).saveBlob(blob, `${this.name}.png`));
  }

  async send() {
    this.bake.disabled = true;
    const form = new FormData();
    for (const name of this.changed) form.append(name, await new Promise((done) => this.views.get(name).toBlob(done, "image/png")), `${name}.png`);
    try {
      const accepted = await sendForm(`generate_character/jobs/${this.page.id}/views`, form);
      this.page.open(accepted.job_id);
    } catch (error) {
      fill(this.trouble, icon("warn"), make("span", { say: ["trouble.refused", { message: error.message }] }));
      this.bake.disabled = false;
    }
  }
}
