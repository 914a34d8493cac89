// assimp (its WebAssembly build) reads an FBX or GLB file and reports as README.md here states. It neither
// skins nor plays: poses are blended here from its node transforms, keys and offset matrices.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { extname, join } from "node:path";

const require = createRequire(join(process.env.CHARACTER3D_NODE_MODULES, "_"));
const assimp = await require(join(process.env.CHARACTER3D_NODE_MODULES, "assimpjs"))();
const [modelPath, askPath, reportPath] = process.argv.slice(2);
const { pose, times } = JSON.parse(readFileSync(askPath, "utf8"));

const files = new assimp.FileList();
files.AddFile("model" + extname(modelPath), new Uint8Array(readFileSync(modelPath)));
const answer = assimp.ConvertFileList(files, "assjson");
if (!answer.IsSuccess()) throw new Error(answer.GetErrorCode());
const scene = JSON.parse(new TextDecoder().decode(answer.GetFile(0).GetContent()));
if (scene.meshes.length !== 1) throw new Error(`expected one mesh, got ${scene.meshes.length}`);
const mesh = scene.meshes[0];

const METRES = extname(modelPath) === ".fbx" ? 0.01 : 1; // assimp leaves the file's centimetres as they are
const IDENTITY = [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]; // row after row
const multiply = (a, b) =>
  a.map((_, k) => [0, 1, 2, 3].reduce((sum, i) => sum + a[k - (k % 4) + i] * b[4 * i + (k % 4)], 0));
const apply = (m, [x, y, z]) => [0, 4, 8].map((k) => m[k] * x + m[k + 1] * y + m[k + 2] * z + m[k + 3]);
const rotation = ([a, b, c]) => [...a, 0, ...b, 0, ...c, 0, 0, 0, 0, 1];
const rows = (m) =>
  [0, 4, 8, 12].map((k) => [m[k], m[k + 1], m[k + 2], k < 12 ? m[k + 3] * METRES : m[k + 3]]);
const tuples = (list, n) =>
  Array.from({ length: list.length / n }, (_, i) => list.slice(n * i, n * i + n));

// A node's matrix comes from `localOf(node)`; every node's own and world matrix by name.
const placeNodes = (localOf) => {
  const placed = {};
  const walk = (node, parent, above) => {
    if (node.name in placed) throw new Error(`two nodes are called ${node.name}`);
    const world = multiply(above, localOf(node));
    placed[node.name] = { parent, world, meshes: node.meshes ?? [] };
    for (const child of node.children ?? []) walk(child, node.name, world);
  };
  walk(scene.rootnode, null, IDENTITY);
  return placed;
};
const nodes = placeNodes((node) => node.transformation);
const meshNode = Object.values(nodes).find((node) => node.meshes.length);

const points = tuples(mesh.vertices, 3);
const weights = points.map(() => ({}));
for (const bone of mesh.bones) {
  for (const [vertex, weight] of bone.weights) weights[vertex][bone.name] = weight;
}
const blend = (placed) => {
  const blended = points.map(() => [0, 0, 0]);
  for (const bone of mesh.bones) {
    const move = multiply(placed[bone.name].world, bone.offsetmatrix);
    for (const [vertex, weight] of bone.weights) {
      apply(move, points[vertex]).forEach((value, k) => (blended[vertex][k] += weight * value));
    }
  }
  return blended;
};
const turn = (node) =>
  pose[node.name] ? multiply(node.transformation, rotation(pose[node.name])) : node.transformation;

// Keys are [time in ticks, value]; quaternions are w, x, y, z.
const between = (keys, ticks, mix) => {
  const after = keys.findIndex(([time]) => time >= ticks);
  if (after === 0 || keys.length === 1) return keys[0][1];
  if (after < 0) return keys.at(-1)[1];
  const [[start, first], [end, second]] = [keys[after - 1], keys[after]];
  return mix(first, second, (ticks - start) / (end - start));
};
const lerp = (a, b, t) => a.map((value, k) => value + (b[k] - value) * t);
const slerp = (a, b, t) => {
  const dot = a.reduce((sum, value, k) => sum + value * b[k], 0);
  const angle = Math.acos(Math.min(1, Math.abs(dot)));
  if (angle < 1e-6) return dot < 0 ? lerp(a, b.map((v) => -v), t) : lerp(a, b, t);
  const [first, second] = [Math.sin((1 - t) * angle), Math.sign(dot) * Math.sin(t * angle)];
  return a.map((value, k) => (value * first + b[k] * second) / Math.sin(angle));
};
const compose = ([w, x, y, z], move, scale) => {
  const m = [
    [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
    [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
    [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
  ];
  return [...m.flatMap((row, k) => [...row.map((v, c) => v * scale[c]), move[k]]), 0, 0, 0, 1];
};
const follow = (clip, time) => {
  const ticks = time * clip.tickspersecond;
  const channels = Object.fromEntries(clip.channels.map((channel) => [channel.name, channel]));
  return blend(
    placeNodes((node) => {
      const channel = channels[node.name];
      if (!channel) return node.transformation;
      return compose(
        between(channel.rotationkeys, ticks, slerp),
        between(channel.positionkeys, ticks, lerp),
        between(channel.scalingkeys, ticks, lerp),
      );
    }),
  );
};

const joints = {};
for (const bone of mesh.bones) {
  const { parent, world } = nodes[bone.name];
  const isJoint = mesh.bones.some((other) => other.name === parent);
  const inverse_bind = rows(bone.offsetmatrix);
  joints[bone.name] = { parent: isJoint ? parent : null, rest: rows(world), inverse_bind };
}

// A texture in the file is named "*0" or, as here, by its file name; there is only the one.
const named = scene.materials[0].properties.some((entry) => entry.key === "$tex.file");
const content = Buffer.from(scene.textures[0].data, "base64");
const order = mesh.faces.flat();
const metres = (point) => point.map((value) => value * METRES);
const normals = tuples(mesh.normals, 3);
const corners = (values) => tuples(order.map((i) => values[i]), 3);
const uvs = tuples(mesh.texturecoords[0], mesh.numuvcomponents[0]);
const report = {
  warnings: [],
  vertex_count: points.length,
  joints,
  positions: corners(points.map((point) => metres(apply(meshNode.world, point)))),
  normals: corners(normals),
  uvs: tuples(order.map((i) => [uvs[i][0], 1 - uvs[i][1]]), 3),
  weights: order.map((i) => weights[i]),
  posed: corners(blend(placeNodes(turn)).map(metres)),
  clips: Object.fromEntries(
    (scene.animations ?? []).map((clip) => [
      clip.name,
      times.map((time) => corners(follow(clip, time).map(metres))),
    ]),
  ),
  texture: named && {
    sha256: createHash("sha256").update(content).digest("hex"),
    size: [content.readUInt32BE(16), content.readUInt32BE(20)], // the PNG's IHDR
  },
};
writeFileSync(reportPath, JSON.stringify(report));
