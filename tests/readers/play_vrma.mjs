// three-vrm plays a VRMA on a VRM, and reports as README.md here states: node play_vrma.mjs VRMA VRM FRAMES REPORT
import { writeFileSync } from "node:fs";
import { load, readBuffer, standIn } from "./browser.mjs";

const THREE = await load("three/build/three.module.js");
const { GLTFLoader } = await load("three/examples/jsm/loaders/GLTFLoader.js");
const { VRMLoaderPlugin } = await load("@pixiv/three-vrm/lib/three-vrm.module.js");
const animation = await load("@pixiv/three-vrm-animation/lib/three-vrm-animation.module.js");
const [motionPath, modelPath, count, reportPath] = process.argv.slice(2);

standIn();
const warnings = [];
console.warn = console.error = (...words) => warnings.push(words.join(" "));

const read = (path, Plugin) => {
  const loader = new GLTFLoader().register((parser) => new Plugin(parser));
  return loader.parseAsync(readBuffer(path), "");
};
const { vrm } = (await read(modelPath, VRMLoaderPlugin)).userData;
const [motion] = (await read(motionPath, animation.VRMAnimationLoaderPlugin)).userData.vrmAnimations;

const rows = (matrix) => matrix.clone().transpose().elements;
const joints = {};
vrm.scene.updateMatrixWorld(true);
for (const role of Object.keys(vrm.humanoid.humanBones)) {
  const bone = vrm.humanoid.getRawBoneNode(role);
  joints[role] = { bone, rest: rows(bone.matrixWorld), frames: [] };
}
const clip = animation.createVRMAnimationClip(motion, vrm);
const mixer = new THREE.AnimationMixer(vrm.scene);
mixer.clipAction(clip).play();
for (let frame = 0; frame < Number(count); frame++) {
  mixer.setTime((clip.duration * frame) / Number(count));
  vrm.update(0);
  vrm.scene.updateMatrixWorld(true);
  for (const joint of Object.values(joints)) joint.frames.push(rows(joint.bone.matrixWorld));
}
const told = Object.entries(joints).map(([role, { rest, frames }]) => [role, { rest, frames }]);
writeFileSync(reportPath, JSON.stringify({ warnings, duration: clip.duration, joints: Object.fromEntries(told) }));
