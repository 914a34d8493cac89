/** The result of a job: the model in a viewer, what can be done with it, its files, and its views to paint over. */

import { fill, icon, make } from "./dom.js";
import { showFiles } from "./files.js";
import { showReport } from "./report.js";
import { ask } from "./service.js";
import { knows } from "./words.js";

const MODELS = ["rigged_character", "textured_mesh", "raw_mesh"];
const SHOWN_FORMATS = /\.(fbx|glb|vrm)$/i;
const LOOKS = ["lit", "flat", "shape", "normals"];
const AXES = ["x", "y", "z"];
const STILL = matchMedia("(prefers-reduced-motion: reduce)");
const KEYS = { ArrowLeft: [-10, 0], ArrowRight: [10, 0], ArrowUp: [0, 10], ArrowDown: [0, -10] };

/** Puts a result in place of a job's stages. */
export class Result {
  constructor(page, status) {
    Object.assign(this, { page, status, joints: [], turns: new Map() });
    const models = status.downloads.filter((file) => SHOWN_FORMATS.test(file.name));
    this.models = MODELS.map((result) => models.find((file) => file.result === result)).filter(Boolean);
    this.build();
    this.open(this.models[0]);
  }

  leave() {
    this.viewer?.dispose();
  }

  build() {
    this.canvas = make("canvas", { tabIndex: 0, role: "img", says: { "aria-label": "viewer.label" }, on: { keydown: (event) => this.press(event) } });
    this.note = make("p", { class: "busy", say: "viewer.loading" });
    this.view = make("div", { class: "viewer" }, this.canvas, this.note);
    this.picker = this.makeChoice("viewer.model", this.models.map((file) => [file.name, `file.${file.result}`]), (name) => this.open(this.models.find((file) => file.name === name)));
    this.tools = make("div", { class: "tools-row" });
    this.controls = make("div", { class: "controls" });
    fill(this.page.big, this.view);
    this.page.big.after(this.tools);
    this.again = make("div", {});
    fill(this.page.panel, make("h1", { say: "result.title" }), this.makeFacts(), showReport(this.status), this.makeWarnings(), this.picker, this.controls, showFiles(this.status), this.again);
    this.makePainting();
  }

  makeFacts() {
    const seconds = Math.round(this.status.processing_time_seconds);
    return make("p", { class: "soft", say: ["result.facts", { seconds, seed: this.status.parameters.seed }] });
  }

  makeWarnings() {
    if (!this.status.warnings.length) return null;
    const items = this.status.warnings.map((text) => make("li", { lang: "en", textContent: text }));
    return make("details", { class: "group notes" }, make("summary", { say: ["result.notes", { count: items.length }] }), make("ul", {}, items));
  }

  makeChoice(label, choices, choose) {
    const id = `choice-${label.replace(".", "-")}`;
    const options = choices.map(([value, key]) => make("option", { value, ...(knows(key) ? { say: key } : { textContent: value }) }));
    return make("div", { class: "field" }, make("label", { htmlFor: id, say: label }), make("select", { id, on: { change: (event) => choose(event.target.value) } }, options));
  }

  makeToggle(key, isOn, change) {
    const button = make("button", { type: "button", class: "chip", "aria-pressed": String(isOn), say: key, on: { click: () => set(button.getAttribute("aria-pressed") !== "true") } });
    const set = (value) => {
      button.setAttribute("aria-pressed", String(value));
      change(value);
    };
    return button;
  }

  async open(file) {
    this.view.dataset.state = "loading";
    if (!this.canvas.isConnected) fill(this.page.big, this.view);
    try {
      const [{ Viewer }, bytes] = await Promise.all([import("./viewer.js"), ask(file.url).then((answer) => answer.arrayBuffer())]);
      this.viewer ??= new Viewer(this.canvas);
      await this.viewer.show(bytes, file.name.split(".").at(-1).toLowerCase());
      this.viewer.resize();
      this.viewer.frame();
      this.view.dataset.state = "ready";
      this.showControls();
    } catch (error) {
      this.view.dataset.state = "failed";
      fill(this.note, make("span", { say: ["viewer.failed", { message: error.message }] }));
    }
  }

  showControls() {
    const viewer = this.viewer;
    this.turns.clear();
    viewer.setTurning(!STILL.matches);
    const springs = viewer.hasSprings ? this.makeToggle("viewer.springs", true, (isOn) => viewer.setSprings(isOn)) : null;
    const skeleton = viewer.joints.length ? this.makeToggle("viewer.skeleton", false, (isOn) => viewer.setSkeleton(isOn)) : null;
    fill(this.tools, this.makeToggle("viewer.turning", !STILL.matches, (isOn) => viewer.setTurning(isOn)), skeleton,
      this.makeToggle("viewer.wireframe", false, (isOn) => viewer.setWireframe(isOn)), springs,
      make("button", { type: "button", class: "chip", say: "viewer.frame", on: { click: () => viewer.frame() } }));
    const clips = viewer.clips.length ? this.makeClips() : null;
    const look = this.makeChoice("viewer.look", LOOKS.map((look) => [look, `look.${look}`]), (look) => viewer.setLook(look));
    fill(this.controls, clips, look, viewer.joints.length ? this.makePose() : null, viewer.expressions.length ? this.makeExpressions() : null, this.makeTextures());
  }

  makeClips() {
    const viewer = this.viewer;
    const names = viewer.clips.map((name) => [name, `choice.animation.${name.split("|").at(-1)}`]);
    const choice = this.makeChoice("viewer.clip", [["", "viewer.no_clip"], ...names], (name) => (name ? viewer.playClip(name) : viewer.stopClip()));
    const select = choice.querySelector("select");
    select.value = viewer.clips[0];
    viewer.playClip(viewer.clips[0]);
    if (STILL.matches) viewer.setPaused(true);
    return choice;
  }

  makePose() {
    const joints = this.viewer.joints;
    const sliders = AXES.map((axis, index) => make("input", { type: "range", min: -120, max: 120, value: 0, id: `pose-${axis}`, on: { input: () => turn(index) } }));
    const select = make("select", { id: "pose-joint", on: { change: () => recall() } }, joints.map((joint, index) => make("option", { value: index, textContent: joint.name })));
    const chosen = () => joints[select.value];
    const recall = () => (this.turns.get(chosen()) ?? [0, 0, 0]).forEach((angle, index) => { sliders[index].value = angle; });
    const turn = () => {
      this.turns.set(chosen(), sliders.map((slider) => Number(slider.value)));
      this.viewer.stopPlaying();
      for (const [joint, degrees] of this.turns) this.viewer.poseJoint(joint, degrees);
      const clip = this.controls.querySelector("#choice-viewer-clip");
      if (clip) clip.value = "";
    };
    const reset = make("button", { type: "button", class: "link", say: "pose.reset", on: { click: () => { this.turns.clear(); this.viewer.stopClip(); recall(); } } });
    return make("details", { class: "group" }, make("summary", { say: "pose.title" }), make("div", { class: "fields" },
      make("div", { class: "field" }, make("label", { htmlFor: "pose-joint", say: "pose.joint" }), select),
      AXES.map((axis, index) => make("div", { class: "field slider" }, make("label", { htmlFor: `pose-${axis}`, say: `pose.${axis}` }), sliders[index])), reset));
  }

  makeExpressions() {
    const items = this.viewer.expressions.map((name) => {
      const input = make("input", { type: "range", min: 0, max: 1, step: 0.01, value: 0, id: `expression-${name}`, on: { input: (event) => this.viewer.setExpression(name, Number(event.target.value)) } });
      return make("div", { class: "field slider" }, make("label", { htmlFor: input.id, textContent: name }), input);
    });
    return make("details", { class: "group" }, make("summary", { say: "viewer.expressions" }), make("div", { class: "fields" }, items));
  }

  makeTextures() {
    if (!this.viewer.meshes.some((mesh) => [mesh.material].flat().some((material) => material.map))) return null;
    const box = make("div", { class: "textures" });
    // A file's pictures may be decoded after its shape: they are drawn when somebody looks.
    const draw = () => fill(box, this.viewer.listTextures().map((texture) => this.makeTexture(texture)));
    return make("details", { class: "group", on: { toggle: draw } }, make("summary", { say: "viewer.textures" }), box);
  }

  makeTexture({ map, image }) {
    const canvas = make("canvas", { width: 512, height: 512, role: "img", says: { "aria-label": `map.${map}` } });
    canvas.getContext("2d").drawImage(image, 0, 0, 512, 512);
    return make("figure", {}, canvas, make("figcaption", {}, make("span", { say: `map.${map}` }), make("span", { class: "soft" }, ` ${image.width} × ${image.height}`)));
  }

  /** Show a picture of a stage where the model is, until the model is asked for again. */
  showPicture(content) {
    const back = make("button", { type: "button", class: "button back", on: { click: () => this.hidePicture() } }, make("span", { say: "viewer.back" }));
    fill(this.page.big, content, back);
  }

  hidePicture() {
    fill(this.page.big, this.view);
    this.page.chosen = null;
    this.page.press(null);
    this.viewer?.resize();
  }

  makePainting() {
    const views = this.status.downloads.find((file) => file.result === "views");
    if (!views) return;
    const begin = async () => {
      const { Painting } = await import("./painting.js");
      fill(this.page.main, new Painting(this.page, views).element);
      scrollTo(0, 0);
    };
    fill(this.again, make("section", { class: "files" }, make("h2", { say: "paint.title" }), make("p", { class: "soft", say: "paint.lead" }),
      make("button", { type: "button", class: "button", on: { click: begin } }, icon("brush"), make("span", { say: "paint.open" }))));
  }

  press(event) {
    const turn = KEYS[event.key];
    const factor = { "+": 0.9, "=": 0.9, "-": 1.1 }[event.key];
    if (turn) this.viewer.turn(...turn);
    if (factor) this.viewer.zoom(factor);
    if (turn || factor) event.preventDefault();
  }
}

