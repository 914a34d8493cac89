// glTF Transform writes the scenes of a JSON file as .glb or .gltf, each with the steps it asks for.
import { mkdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { pathToFileURL } from "node:url";

const from = (name) => import(pathToFileURL(join(process.env.CHARACTER3D_NODE_MODULES, name)).href);
const core = await from("@gltf-transform/core/dist/index.js");
const extensions = await from("@gltf-transform/extensions/dist/index.js");
const functions = await from("@gltf-transform/functions/dist/index.js");
const { MeshoptEncoder } = await from("meshoptimizer/index.js");
const draco = (await from("draco3dgltf/draco3dgltf.js")).default;

const STEPS = {
  dedup: () => functions.dedup(),
  flatten: () => functions.flatten(),
  instance: () => functions.instance({ min: 2 }),
  join: () => functions.join(),
  meshopt: () => functions.meshopt({ encoder: MeshoptEncoder, level: "medium" }),
  quantize: () => functions.quantize({ quantizeTexcoord: 14, quantizePosition: 14 }),
  sparse: () => functions.sparse({ ratio: 1 }),
  unweld: () => functions.unweld(),
  weld: () => functions.weld(),
  draco: () => functions.draco({ quantizePosition: 16, quantizeTexcoord: 16, quantizeColor: 10 }),
};

function makeMaterial(doc, texture, given) {
  const material = doc.createMaterial(given.name).setBaseColorFactor(given.factor);
  material.setMetallicFactor(given.metallic).setRoughnessFactor(given.roughness);
  if (!texture || !given.textured) return material;
  material.setBaseColorTexture(texture);
  if (given.transform) {
    const { offset, scale, rotation } = given.transform;
    const transform = doc.createExtension(extensions.KHRTextureTransform).createTransform();
    transform.setOffset(offset).setScale(scale).setRotation(rotation);
    material.getBaseColorTextureInfo().setExtension("KHR_texture_transform", transform);
  }
  return material;
}

function makeMesh(doc, buffer, material, given) {
  const accessor = (type, array) => doc.createAccessor().setType(type).setArray(array).setBuffer(buffer);
  const primitive = doc.createPrimitive().setMaterial(material).setMode(given.mode);
  primitive.setAttribute("POSITION", accessor("VEC3", new Float32Array(given.positions)));
  primitive.setAttribute("TEXCOORD_0", accessor("VEC2", new Float32Array(given.uvs)));
  if (given.colors) primitive.setAttribute("COLOR_0", accessor("VEC4", new Float32Array(given.colors)));
  if (given.indices) primitive.setIndices(accessor("SCALAR", new Uint16Array(given.indices)));
  return doc.createMesh(given.name).addPrimitive(primitive);
}

function makeScene(given) {
  const doc = new core.Document();
  const buffer = doc.createBuffer();
  let texture = null;
  if (given.picture) {
    texture = doc.createTexture("picture").setMimeType(given.mime);
    texture.setImage(new Uint8Array(Buffer.from(given.picture, "base64")));
    if (given.mime === "image/webp") doc.createExtension(extensions.EXTTextureWebP).setRequired(true);
  }
  const materials = given.materials.map((item) => makeMaterial(doc, texture, item));
  const meshes = given.meshes.map((item) => makeMesh(doc, buffer, materials[item.material], item));
  const nodes = given.nodes.map((item) => {
    const node = doc.createNode(item.name).setTranslation(item.translation);
    node.setRotation(item.rotation).setScale(item.scale);
    return item.mesh === null ? node : node.setMesh(meshes[item.mesh]);
  });
  const scenes = given.scenes.map((_, number) => doc.createScene(`scene ${number}`));
  given.nodes.forEach((item, number) => item.parent !== null && nodes[item.parent].addChild(nodes[number]));
  given.scenes.forEach((roots, number) => roots.forEach((root) => scenes[number].addChild(nodes[root])));
  doc.getRoot().setDefaultScene(scenes[given.scene]);
  return doc;
}

await MeshoptEncoder.ready;
const io = new core.NodeIO().registerExtensions(extensions.ALL_EXTENSIONS).registerDependencies({
  "meshopt.encoder": MeshoptEncoder,
  "draco3d.encoder": await draco.createEncoderModule(),
});
const [asked, folder] = process.argv.slice(2);
for (const given of JSON.parse(readFileSync(asked))) {
  const doc = makeScene(given);
  doc.setLogger(new core.Logger(core.Logger.Verbosity.SILENT));
  for (const step of given.steps) await doc.transform(STEPS[step]());
  mkdirSync(dirname(join(folder, given.file)), { recursive: true });
  await io.write(join(folder, given.file), doc);
}
