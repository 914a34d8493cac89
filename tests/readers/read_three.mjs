// three.js's FBXLoader reads an FBX file, poses it, and reports as README.md here states.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";

const modules = process.env.CHARACTER3D_NODE_MODULES;
const load = (path) => import(pathToFileURL(join(modules, "three", path)).href);
const THREE = await load("build/three.module.js");
const { FBXLoader } = await load("examples/jsm/loaders/FBXLoader.js");

const [modelPath, posePath, reportPath] = process.argv.slice(2);

// What the loader wants of a browser: a blob's URL (the picture in the file) and an <img>.
const pictures = [];
globalThis.window = globalThis;
globalThis.document = {
  createElementNS: () => ({ addEventListener() {}, removeEventListener() {} }),
};
URL.createObjectURL = (blob) => `blob:${pictures.push(blob)}`;

const warnings = [];
console.warn = (...words) => warnings.push(words.join(" "));
console.error = console.warn;

const data = readFileSync(modelPath);
const scene = new FBXLoader().parse(data.buffer.slice(data.byteOffset, data.byteOffset + data.length), "");
scene.updateMatrixWorld(true);

const meshes = [];
const bones = [];
scene.traverse((item) => {
  if (item.isSkinnedMesh) meshes.push(item);
  if (item.isBone) bones.push(item);
});
if (meshes.length !== 1) throw new Error(`expected one skinned mesh, got ${meshes.length}`);
const mesh = meshes[0];
const { position, normal, uv, skinIndex, skinWeight } = mesh.geometry.attributes;
const order = mesh.geometry.index ? [...mesh.geometry.index.array] : [...Array(position.count).keys()];

const METRES = 0.01; // FBXLoader leaves the file's centimetres as they are
const rows = (matrix) => {
  const m = matrix.clone().transpose().elements;
  const out = [0, 4, 8, 12].map((k) => [m[k], m[k + 1], m[k + 2], m[k + 3]]);
  for (let k = 0; k < 3; k++) out[k][3] *= METRES;
  return out;
};
const triangles = (list) => Array.from({ length: list.length / 3 }, (_, f) => list.slice(3 * f, 3 * f + 3));
const metres = (v) => [v.x * METRES, v.y * METRES, v.z * METRES];
const vertexAt = (i) => new THREE.Vector3().fromBufferAttribute(position, i);

const weightsOf = (i) => {
  const found = {};
  for (let k = 0; k < 4; k++) {
    const weight = skinWeight.getComponent(i, k);
    const name = mesh.skeleton.bones[skinIndex.getComponent(i, k)].name;
    if (weight > 0) found[name] = (found[name] ?? 0) + weight;
  }
  return found;
};

const joints = {};
for (const bone of bones) {
  if (bone.name in joints) throw new Error(`two bones are called ${bone.name}`);
  const index = mesh.skeleton.bones.indexOf(bone);
  joints[bone.name] = {
    parent: bone.parent.isBone ? bone.parent.name : null,
    rest: rows(bone.matrixWorld),
    inverse_bind: index < 0 ? null : rows(mesh.skeleton.boneInverses[index]),
  };
}
const rest = {
  positions: triangles(order.map((i) => metres(vertexAt(i).applyMatrix4(mesh.matrixWorld)))),
  normals: triangles(order.map((i) => [normal.getX(i), normal.getY(i), normal.getZ(i)])),
  uvs: triangles(order.map((i) => [uv.getX(i), 1 - uv.getY(i)])),
  weights: order.map(weightsOf),
};

for (const [name, r] of Object.entries(JSON.parse(readFileSync(posePath, "utf8")))) {
  const bone = bones.find((item) => item.name === THREE.PropertyBinding.sanitizeNodeName(name));
  const turn = new THREE.Matrix4().set(...r[0], 0, ...r[1], 0, ...r[2], 0, 0, 0, 0, 1);
  bone.quaternion.multiply(new THREE.Quaternion().setFromRotationMatrix(turn));
}
scene.updateMatrixWorld(true);
const pose = (i) => mesh.applyBoneTransform(i, vertexAt(i)).applyMatrix4(mesh.matrixWorld);

const content = mesh.material.map && pictures.length ? Buffer.from(await pictures[0].arrayBuffer()) : null;
const report = {
  warnings,
  vertex_count: position.count,
  joints,
  ...rest,
  posed: triangles(order.map((i) => metres(pose(i)))),
  texture: content && {
    sha256: createHash("sha256").update(content).digest("hex"),
    size: [content.readUInt32BE(16), content.readUInt32BE(20)], // the PNG's IHDR
  },
};
writeFileSync(reportPath, JSON.stringify(report));
