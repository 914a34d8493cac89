// three.js reads an FBX, GLB or VRM file, poses it, and reports as README.md here states; of a VRM,
// three-vrm takes the pose by humanoid bone, and the report has its `meta`, `human_bones` and `swung` too.
import { createHash } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { extname } from "node:path";
import { load, readBuffer, standIn } from "./browser.mjs";

const THREE = await load("three/build/three.module.js");
const { FBXLoader } = await load("three/examples/jsm/loaders/FBXLoader.js");
const { GLTFLoader } = await load("three/examples/jsm/loaders/GLTFLoader.js");
const { MeshoptDecoder } = await load("three/examples/jsm/libs/meshopt_decoder.module.js");

const [modelPath, askPath, reportPath] = process.argv.slice(2);
const ask = JSON.parse(readFileSync(askPath, "utf8"));
const { pose, times, swing } = ask;

const pictures = standIn();
const warnings = [];
console.warn = (...words) => warnings.push(words.join(" "));
console.error = console.warn;

const data = readBuffer(modelPath);
const isFbx = extname(modelPath) === ".fbx";
const loadFbx = () => {
  const scene = new FBXLoader().parse(data, "");
  return { scene, animations: scene.animations, userData: {} };
};
// three's own loader of Draco wants a browser's workers; the decoder is Google's all the same.
const makeDracoLoader = async () => {
  const draco = await (await load("draco3dgltf/draco3dgltf.js")).default.createDecoderModule();
  const read = (decoder, mesh, attribute, Type) => {
    const values = new draco.DracoFloat32Array();
    decoder.GetAttributeFloatForAllPoints(mesh, attribute, values);
    return Type.from({ length: values.size() }, (_, i) => values.GetValue(i));
  };
  const decode = (buffer, ids, types) => {
    const decoder = new draco.Decoder();
    const mesh = new draco.Mesh();
    const array = new Int8Array(buffer);
    const status = decoder.DecodeArrayToMesh(array, array.length, mesh);
    if (!status.ok()) throw new Error(status.error_msg());
    const geometry = new THREE.BufferGeometry();
    const face = new draco.DracoInt32Array();
    const corners = (f) => {
      decoder.GetFaceFromMesh(mesh, f, face);
      return [0, 1, 2].map((k) => face.GetValue(k));
    };
    geometry.setIndex(Array.from({ length: mesh.num_faces() }, (_, f) => corners(f)).flat());
    for (const [name, id] of Object.entries(ids)) {
      const attribute = decoder.GetAttributeByUniqueId(mesh, id);
      const values = read(decoder, mesh, attribute, globalThis[types[name]]);
      geometry.setAttribute(name, new THREE.BufferAttribute(values, attribute.num_components()));
    }
    return geometry;
  };
  return {
    preload() {},
    decodeDracoFile: (buffer, done, ids, types) => done(decode(buffer, ids, types)),
  };
};
const loadGltf = async () => {
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  loader.setDRACOLoader(await makeDracoLoader());
  if (extname(modelPath) === ".vrm") {
    const { VRMLoaderPlugin } = await load("@pixiv/three-vrm/lib/three-vrm.module.js");
    loader.register((parser) => new VRMLoaderPlugin(parser));
  }
  return loader.parseAsync(data, "");
};
const { scene, animations, userData } = isFbx ? loadFbx() : await loadGltf();
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

const METRES = isFbx ? 0.01 : 1; // FBXLoader leaves the file's centimetres as they are
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
  uvs: triangles(order.map((i) => [uv.getX(i), isFbx ? 1 - uv.getY(i) : uv.getY(i)])),
  weights: order.map(weightsOf),
};

const skinned = () => {
  scene.updateMatrixWorld(true);
  const place = (i) => mesh.applyBoneTransform(i, vertexAt(i)).applyMatrix4(mesh.matrixWorld);
  return triangles(order.map((i) => metres(place(i))));
};

const clips = {};
for (const clip of animations) {
  const mixer = new THREE.AnimationMixer(scene);
  const action = mixer.clipAction(clip).setLoop(THREE.LoopOnce);
  action.clampWhenFinished = true;
  action.play();
  clips[clip.name] = times.map((time) => {
    mixer.setTime(time);
    return skinned();
  });
  mixer.stopAllAction();
}

const quaternionOf = (r) =>
  new THREE.Quaternion().setFromRotationMatrix(
    new THREE.Matrix4().set(...r[0], 0, ...r[1], 0, ...r[2], 0, 0, 0, 0, 1),
  );
const { vrm } = userData;
for (const [name, r] of Object.entries(pose)) {
  if (vrm) {
    vrm.humanoid.setNormalizedPose({
      ...vrm.humanoid.getNormalizedPose(),
      [name]: { rotation: quaternionOf(r).toArray() },
    });
  } else {
    const bone = bones.find((item) => item.name === THREE.PropertyBinding.sanitizeNodeName(name));
    bone.quaternion.multiply(quaternionOf(r));
  }
}
vrm?.update(0);
const posed = skinned();
const humanBones = Object.entries(vrm?.humanoid.humanBones ?? {});

const swingBones = ({ bone, radians }) => {
  const places = radians.map((turn) => {
    const rotation = new THREE.Quaternion().setFromAxisAngle(new THREE.Vector3(0, 1, 0), turn);
    vrm.humanoid.setNormalizedPose({ [bone]: { rotation: rotation.toArray() } });
    vrm.update(1 / 60);
    scene.updateMatrixWorld(true);
    const ends = [...vrm.springBoneManager.joints].flatMap((joint) => [joint.bone, joint.child]);
    return Object.fromEntries(
      ends.map((end) => [end.name, end.getWorldPosition(new THREE.Vector3()).toArray()]),
    );
  });
  return places;
};
const express = (weights) => {
  for (const [name, weight] of Object.entries(weights)) vrm.expressionManager.setValue(name, weight);
  vrm.update(1 / 60);
  return mesh.morphTargetInfluences;
};
const influences = vrm && ask.express ? express(ask.express) : null;
const swung = vrm && swing ? swingBones(swing) : null;

const isPng = (content) => content.toString("latin1", 1, 4) === "PNG";
const content = mesh.material.map && pictures.length ? Buffer.from(await pictures[0].arrayBuffer()) : null;
const report = {
  warnings,
  vertex_count: position.count,
  joints,
  ...rest,
  posed,
  clips,
  meta: vrm?.meta,
  swung,
  influences,
  expressions: vrm?.expressionManager && Object.keys(vrm.expressionManager.expressionMap),
  looks: vrm && Boolean(vrm.lookAt),
  human_bones: vrm && Object.fromEntries(humanBones.map(([role, { node }]) => [role, node.name])),
  texture: content && {
    sha256: createHash("sha256").update(content).digest("hex"),
    type: pictures[0].type,
    size: isPng(content) ? [content.readUInt32BE(16), content.readUInt32BE(20)] : null, // the PNG's IHDR
  },
};
writeFileSync(reportPath, JSON.stringify(report));
