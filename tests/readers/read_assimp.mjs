// assimp (its WebAssembly build) reads an FBX file and reports as README.md here states. It has no
// skinning of its own: the pose is blended here from its node transforms and offset matrices.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";

const require = createRequire(join(process.env.CHARACTER3D_NODE_MODULES, "_"));
const assimp = await require(join(process.env.CHARACTER3D_NODE_MODULES, "assimpjs"))();
const [modelPath, posePath, reportPath] = process.argv.slice(2);
const pose = JSON.parse(readFileSync(posePath, "utf8"));

const files = new assimp.FileList();
files.AddFile("model.fbx", new Uint8Array(readFileSync(modelPath)));
const answer = assimp.ConvertFileList(files, "assjson");
if (!answer.IsSuccess()) throw new Error(answer.GetErrorCode());
const scene = JSON.parse(new TextDecoder().decode(answer.GetFile(0).GetContent()));
if (scene.meshes.length !== 1) throw new Error(`expected one mesh, got ${scene.meshes.length}`);
const mesh = scene.meshes[0];

const METRES = 0.01; // assimp leaves the file's centimetres as they are
const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]; // row after row
const multiply = (a, b) =>
  a.map((_, k) => [0, 1, 2, 3].reduce((sum, i) => sum + a[k - (k % 4) + i] * b[4 * i + (k % 4)], 0));
const apply = (m, [x, y, z]) => [0, 4, 8].map((k) => m[k] * x + m[k + 1] * y + m[k + 2] * z + m[k + 3]);
const rotation = ([a, b, c]) => [...a, 0, ...b, 0, ...c, 0, 0, 0, 0, 1];
const rows = (m) =>
  [0, 4, 8, 12].map((k) => [m[k], m[k + 1], m[k + 2], k < 12 ? m[k + 3] * METRES : m[k + 3]]);
const tuples = (list, n) =>
  Array.from({ length: list.length / n }, (_, i) => list.slice(n * i, n * i + n));

const nodes = {};
const walk = (node, parent, rest, posed) => {
  if (node.name in nodes) throw new Error(`two nodes are called ${node.name}`);
  rest = multiply(rest, node.transformation);
  posed = multiply(posed, node.transformation);
  if (pose[node.name]) posed = multiply(posed, rotation(pose[node.name]));
  nodes[node.name] = { parent, rest, posed };
  for (const child of node.children ?? []) walk(child, node.name, rest, posed);
};
walk(scene.rootnode, null, IDENTITY, IDENTITY);

const points = tuples(mesh.vertices, 3);
const weights = points.map(() => ({}));
const posed = points.map(() => [0, 0, 0]);
for (const bone of mesh.bones) {
  const move = multiply(nodes[bone.name].posed, bone.offsetmatrix);
  for (const [vertex, weight] of bone.weights) {
    weights[vertex][bone.name] = weight;
    apply(move, points[vertex]).forEach((value, k) => (posed[vertex][k] += weight * value));
  }
}

const joints = {};
for (const bone of mesh.bones) {
  const { parent, rest } = nodes[bone.name];
  const isJoint = mesh.bones.some((other) => other.name === parent);
  const inverse_bind = rows(bone.offsetmatrix);
  joints[bone.name] = { parent: isJoint ? parent : null, rest: rows(rest), inverse_bind };
}

// A texture in the file is named "*0" or, as here, by its file name; there is only the one.
const named = scene.materials[0].properties.some((entry) => entry.key === "$tex.file");
const content = Buffer.from(scene.textures[0].data, "base64");
const order = mesh.faces.flat();
const metres = (point) => point.map((value) => value * METRES);
const normals = tuples(mesh.normals, 3);
const uvs = tuples(mesh.texturecoords[0], mesh.numuvcomponents[0]);
const report = {
  warnings: [],
  vertex_count: points.length,
  joints,
  positions: tuples(order.map((i) => metres(apply(nodes.Character.rest, points[i]))), 3),
  normals: tuples(order.map((i) => normals[i]), 3),
  uvs: tuples(order.map((i) => [uvs[i][0], 1 - uvs[i][1]]), 3),
  weights: order.map((i) => weights[i]),
  posed: tuples(order.map((i) => metres(posed[i])), 3),
  texture: named && {
    sha256: createHash("sha256").update(content).digest("hex"),
    size: [content.readUInt32BE(16), content.readUInt32BE(20)], // the PNG's IHDR
  },
};
writeFileSync(reportPath, JSON.stringify(report));
