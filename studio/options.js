/** What a job may be told beside its pictures, in plain words; ranges, choices and defaults are the service's own. */

import { make } from "./dom.js";
import { askJson } from "./service.js";
import { knows } from "./words.js";

const MAIN = ["enable_rigging", "pose_type", "animation", "preset", "character_format"];
const GROUPS = {
  motion: ["fingers", "face", "root_motion", "animated_preview", "strict"],
  file: ["bind_pose", "bone_names", "lods", "max_triangles", "texture_size", "compression", "max_bytes"],
  look: ["image_size", "face_count", "octree_resolution", "mesh_model", "mesh_steps", "guidance_scale", "model_name", "prompt", "negative_prompt", "steps", "cfg_scale", "seed"],
  picture: ["views", "figure", "mesh_input_size", "outline_size"],
};
const OWN = new Set(["corrections", "webhook_url"]);
const LONG = new Set(["prompt", "negative_prompt"]);
/** Choices whose files the page cannot show: it has no decoder of Draco. */
const UNSHOWN = new Set(["draco"]);
/** The fields that a preset sets where they were not chosen. */
const OF_PRESET = ["character_format", ...GROUPS.file];

/** The form's fields by name, as the service's own description has them. */
async function readFields() {
  const document = await askJson("generate_character/openapi.json");
  const resolve = (schema) => (schema.$ref ? resolve(schema.$ref.split("/").slice(1).reduce((at, name) => at[name], document)) : schema);
  const form = document.paths["/generate_character"].post.requestBody.content["multipart/form-data"].schema;
  const fields = Object.entries(resolve(form).properties).map(([name, schema]) => [name, resolve(schema)]);
  return Object.fromEntries(fields.filter(([name, schema]) => schema.format !== "binary" && !OWN.has(name)));
}

/** The part of the page with the options. */
export class Options {
  constructor() {
    this.values = new Map();
    this.inputs = new Map();
    this.groups = {};
    this.motion = null;
    this.element = make("section", { class: "options", says: { "aria-label": "options.title" } });
  }

  /** Ask the service what there is, and show it. */
  async load() {
    const [fields, models] = await Promise.all([readFields(), askJson("generate_character/models").catch(() => ({}))]);
    this.fields = fields;
    this.names = { model_name: models.diffusion_models ?? [], mesh_model: ["auto", ...(models["3d_models"] ?? [])] };
    const known = new Set([...MAIN, ...Object.values(GROUPS).flat()]);
    const groups = { ...GROUPS, other: Object.keys(fields).filter((name) => !known.has(name)) };
    this.element.append(
      ...MAIN.filter((name) => name in fields).map((name) => this.makeField(name)),
      ...Object.entries(groups).filter(([, names]) => names.length).map(([group, names]) => this.makeGroup(group, names)),
    );
  }

  /** The fields that differ from their defaults, and the motion, as the form's parts. */
  parts() {
    const changed = [...this.values].filter(([name, value]) => String(value) !== String(this.fields[name].default));
    return [...changed.map(([name, value]) => [name, String(value)]), ...(this.motion ? [["motion", this.motion]] : [])];
  }

  makeGroup(group, names) {
    const fields = names.filter((name) => name in this.fields).map((name) => this.makeField(name));
    const extra = group === "motion" ? [this.makeMotion()] : [];
    this.groups[group] = make("details", { class: "group" }, make("summary", { say: `options.${group}` }), make("div", { class: "fields" }, extra, fields));
    return this.groups[group];
  }

  makeMotion() {
    const input = make("input", { type: "file", accept: ".bvh,.fbx,.glb,.vrma,.npz", id: "option-motion",
      on: { change: (event) => { this.motion = event.target.files[0] ?? null; } } });
    return make("div", { class: "field" }, make("label", { htmlFor: input.id, say: "option.motion" }), input, make("p", { class: "soft", say: "option.motion.hint" }));
  }

  makeField(name) {
    const schema = this.fields[name];
    const id = `option-${name}`;
    const label = make("label", { htmlFor: id, say: `option.${name}` });
    const hint = `option.${name}.hint`;
    const hints = knows(hint) ? [make("p", { class: "soft", id: `${id}-hint`, say: hint })] : [];
    const input = this.makeInput(name, schema, id);
    if (hints.length) input.setAttribute("aria-describedby", `${id}-hint`);
    this.inputs.set(name, input);
    if (schema.type === "boolean") return make("div", { class: "field inline" }, make("label", { class: "switch" }, input, make("span", { say: `option.${name}` })), hints);
    return make("div", { class: "field" }, label, input, hints);
  }

  makeInput(name, schema, id) {
    const set = (value) => {
      this.values.set(name, value);
      if (name === "preset") this.followPreset(value !== schema.default);
    };
    const listen = (read) => ({ change: (event) => set(read(event.target)) });
    if (schema.type === "boolean") return make("input", { type: "checkbox", id, checked: schema.default, on: listen((input) => input.checked) });
    const choices = (schema.enum ?? this.names[name])?.filter((choice) => !UNSHOWN.has(choice));
    if (choices) return this.makeSelect(name, schema, id, choices, set);
    if (schema.type === "string") {
      const tag = LONG.has(name) ? "textarea" : "input";
      return make(tag, { id, value: schema.default, maxLength: schema.maxLength ?? 4000, on: listen((input) => input.value) });
    }
    const step = schema.type === "integer" ? 1 : "any";
    return make("input", { type: "number", id, value: schema.default, min: schema.minimum, max: schema.maximum, step, on: listen((input) => input.value) });
  }

  makeSelect(name, schema, id, choices, set) {
    const all = choices.includes(schema.default) ? choices : [schema.default, ...choices];
    const options = all.map((choice) => {
      const key = `choice.${name}.${choice}`;
      return make("option", { value: choice, selected: choice === schema.default, ...(knows(key) ? { say: key } : { textContent: choice }) });
    });
    return make("select", { id, on: { change: (event) => set(event.target.value) } }, options);
  }

  /** Where there is a preset, what it sets is not asked for: its own choice counts. */
  followPreset(isChosen) {
    for (const name of OF_PRESET.filter((name) => name in this.fields)) {
      this.inputs.get(name).closest(".field").hidden = isChosen;
      if (isChosen) this.values.delete(name);
      if (isChosen) this.inputs.get(name).value = this.fields[name].default;
    }
    this.groups.file.hidden = isChosen;
  }

  /** Show which field the service refused. */
  point(name) {
    const input = this.inputs.get(name);
    input?.closest("details")?.setAttribute("open", "");
    input?.setAttribute("aria-invalid", "true");
    input?.addEventListener("change", () => input.removeAttribute("aria-invalid"), { once: true });
    input?.focus();
  }
}
