// three.js plays the first clip of a file on that file's own character, and by name on another, and reports
// as README.md here states: node play_clip.mjs CLIP MODEL FRAMES REPORT
import { writeFileSync } from "node:fs";
import { extname } from "node:path";
import { load, readBuffer, standIn } from "./browser.mjs";

const THREE = await load("three/build/three.module.js");
const { FBXLoader } = await load("three/examples/jsm/loaders/FBXLoader.js");
const { GLTFLoader } = await load("three/examples/jsm/loaders/GLTFLoader.js");
const [clipPath, modelPath, count, reportPath] = process.argv.slice(2);

standIn();
console.warn = console.error = () => {};

const read = async (path) => {
  const data = readBuffer(path);
  if (extname(path) === ".fbx") {
    const scene = new FBXLoader().parse(data, "");
    return { scene, animations: scene.animations };
  }
  return new GLTFLoader().parseAsync(data, "");
};
const own = await read(clipPath);
const model = modelPath === clipPath ? own : await read(modelPath);
const [clip] = own.animations.filter(({ tracks }) => tracks.length);

const shorten = (name) => name.replace(/^mixamorig\d*:?/, "");
const rows = (matrix) => matrix.clone().transpose().elements;
const listSkins = (scene) => {
  const meshes = [];
  scene.updateMatrixWorld(true);
  scene.traverse((item) => item.isSkinnedMesh && meshes.push(item));
  return meshes;
};
const isOfFoot = ({ name }) => /(Foot|ToeBase|Toe_End)$/.test(name);
const listSoles = (mesh) => {
  const { skinIndex, skinWeight, position } = mesh.geometry.attributes;
  const feet = mesh.skeleton.bones.map(isOfFoot);
  return Array.from({ length: position.count }, (_, i) => i).filter((i) => {
    const shares = [0, 1, 2, 3].map((k) => feet[skinIndex.getComponent(i, k)] * skinWeight.getComponent(i, k));
    return shares.reduce((sum, share) => sum + share) > 0.5;
  });
};
const findLowest = (soles) => {
  let lowest = Infinity;
  const point = new THREE.Vector3();
  for (const [mesh, vertices] of soles) {
    for (const i of vertices) {
      point.fromBufferAttribute(mesh.geometry.attributes.position, i);
      lowest = Math.min(lowest, mesh.applyBoneTransform(i, point).applyMatrix4(mesh.matrixWorld).y);
    }
  }
  return lowest;
};
const restOf = (mesh, index) =>
  mesh.skeleton.boneInverses[index].clone().invert().premultiply(mesh.bindMatrixInverse).premultiply(mesh.matrixWorld);
const listRest = (scene) => {
  const joints = {};
  for (const mesh of listSkins(scene)) {
    mesh.skeleton.bones.forEach((bone, index) => {
      joints[shorten(bone.name)] ??= { bone, rest: restOf(mesh, index), frames: [] };
    });
  }
  return joints;
};
const heightOf = (matrix) => new THREE.Vector3().setFromMatrixPosition(matrix).y;

// The hips' track is the clip's own character's: their height above the ground decides its scale.
const scaleHips = (ratio, names) => {
  const tracks = clip.tracks
    .map((track) => track.clone())
    .filter(({ name }) => name.endsWith(".quaternion") || /Hips\.position$/.test(name));
  for (const track of tracks) {
    const [node, path] = track.name.split(".");
    track.name = `${names.get(shorten(node)) ?? node}.${path}`;
    if (path === "position") track.values = track.values.map((value) => value * ratio);
  }
  return new THREE.AnimationClip(clip.name, clip.duration, tracks);
};
const play = ({ scene }, ratio, joints) => {
  const names = new Map(Object.entries(joints).map(([name, { bone }]) => [name, bone.name]));
  const soles = listSkins(scene).map((mesh) => [mesh, listSoles(mesh)]);
  const lowest = [];
  const mixer = new THREE.AnimationMixer(scene);
  mixer.clipAction(scaleHips(ratio, names)).play();
  for (let frame = 0; frame < Number(count); frame++) {
    mixer.setTime((clip.duration * frame) / Number(count));
    scene.updateMatrixWorld(true);
    for (const joint of Object.values(joints)) joint.frames.push(rows(joint.bone.matrixWorld));
    lowest.push(findLowest(soles));
  }
  return lowest;
};
const describe = (joints, lowest) => ({
  lowest,
  joints: Object.fromEntries(
    Object.entries(joints).map(([name, { rest, frames }]) => [name, { rest: rows(rest), frames }]),
  ),
});

const rest = { own: listRest(own.scene), model: listRest(model.scene) };
const ratio = heightOf(rest.model.Hips.rest) / heightOf(rest.own.Hips.rest);
const report = { own: describe(rest.own, play(own, 1, rest.own)) };
if (model !== own) report.model = describe(rest.model, play(model, ratio, rest.model));
writeFileSync(reportPath, JSON.stringify(report));
