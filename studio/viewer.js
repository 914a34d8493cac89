/** A 3D viewer of one model: GLB, VRM or FBX, on three.js and three-vrm. */

import {
  AnimationMixer, Box3, Color, DirectionalLight, Euler, GridHelper, HemisphereLight, MeshBasicMaterial, MeshNormalMaterial,
  MeshStandardMaterial, PerspectiveCamera, Quaternion, Scene, SkeletonHelper, SRGBColorSpace, TextureLoader, Vector3, WebGLRenderer,
} from "three";
import { OrbitControls } from "three/addons/controls/OrbitControls.js";

const MAPS = ["map", "normalMap", "roughnessMap", "metalnessMap", "emissiveMap", "aoMap", "shadeMultiplyTexture"];
const VIEW_ANGLE = 30;
/** Names of meshes that stand for the first one at a distance. */
const LESSER_DETAIL = /_LOD[1-9]$/;

/** The renderer, the camera and what they look at. */
export class Viewer {
  constructor(canvas) {
    this.canvas = canvas;
    this.renderer = new WebGLRenderer({ canvas, antialias: true, alpha: true });
    this.renderer.setPixelRatio(Math.min(devicePixelRatio, 2));
    this.renderer.outputColorSpace = SRGBColorSpace;
    this.scene = new Scene();
    this.camera = new PerspectiveCamera(VIEW_ANGLE, 1, 0.01, 100);
    this.controls = new OrbitControls(this.camera, canvas);
    this.controls.enableDamping = true;
    this.controls.autoRotateSpeed = 1.6;
    this.addLights();
    this.last = performance.now();
    this.resizing = new ResizeObserver(() => this.resize());
    this.resizing.observe(canvas.parentElement);
    this.renderer.setAnimationLoop(() => this.draw());
  }

  addLights() {
    this.scene.add(new HemisphereLight(0xffffff, 0xb9b4c4, 2.2));
    for (const [x, y, z, power] of [[2, 3, 4, 1.6], [-3, 2, -2, 0.7]]) {
      const light = new DirectionalLight(0xffffff, power);
      light.position.set(x, y, z);
      this.scene.add(light);
    }
  }

  /** Load a model from its bytes and show it. format: the end of its file's name. */
  async show(bytes, format) {
    const loaded = format === "fbx" ? await loadFbx(bytes) : await loadGltf(bytes);
    this.clear();
    Object.assign(this, loaded);
    this.scene.add(this.root);
    this.mixer = new AnimationMixer(this.root);
    this.rest = new Map();
    this.meshes = [];
    this.joints = [];
    this.root.traverse((node) => {
      if (node.isBone) this.joints.push(node);
      if (node.isMesh && LESSER_DETAIL.test(node.name)) node.visible = false;
      else if (node.isMesh) this.meshes.push(node);
      node.frustumCulled = false;
    });
    for (const joint of this.joints) this.rest.set(joint, joint.quaternion.clone());
    this.own = new Map(this.meshes.map((mesh) => [mesh, mesh.material]));
    this.frame();
  }

  clear() {
    this.stopClip();
    this.setSkeleton(false);
    this.setGrid(false);
    if (!this.root) return;
    this.scene.remove(this.root);
    this.root.traverse((node) => node.geometry?.dispose());
    this.root = null;
  }

  /** Look at the whole model from its front. */
  frame() {
    const box = new Box3().setFromObject(this.root, true);
    const size = box.getSize(new Vector3());
    this.size = Math.max(size.x, size.y, size.z) || 1;
    const middle = box.getCenter(new Vector3());
    const narrow = Math.min(1, this.camera.aspect || 1);
    const distance = (this.size * 0.58) / Math.tan((VIEW_ANGLE * Math.PI) / 360) / narrow;
    this.floor = box.min.y;
    this.camera.near = this.size / 100;
    this.camera.far = this.size * 20;
    this.camera.position.copy(middle).add(new Vector3(0.32, 0.1, 1).normalize().multiplyScalar(distance));
    this.controls.target.copy(middle);
    this.controls.minDistance = this.size * 0.2;
    this.controls.maxDistance = this.size * 6;
    this.camera.updateProjectionMatrix();
    this.setGrid(true);
  }

  setGrid(isOn) {
    if (this.grid) this.scene.remove(this.grid);
    this.grid = null;
    if (!isOn) return;
    this.grid = new GridHelper(this.size * 2.4, 12, 0x8a8f9c, 0x8a8f9c);
    this.grid.position.y = this.floor;
    this.grid.material.transparent = true;
    this.grid.material.opacity = 0.25;
    this.scene.add(this.grid);
  }

  /** Turn by itself. */
  setTurning(isOn) {
    this.controls.autoRotate = isOn;
  }

  /** Turn the view by an angle in degrees to the side and up, for the keyboard. */
  turn(aside, up) {
    const offset = this.camera.position.clone().sub(this.controls.target);
    const [radius, polar, azimuth] = [offset.length(), Math.acos(offset.y / offset.length()), Math.atan2(offset.x, offset.z)];
    const lifted = Math.min(Math.PI - 0.05, Math.max(0.05, polar - (up * Math.PI) / 180));
    const turned = azimuth + (aside * Math.PI) / 180;
    offset.set(radius * Math.sin(lifted) * Math.sin(turned), radius * Math.cos(lifted), radius * Math.sin(lifted) * Math.cos(turned));
    this.camera.position.copy(this.controls.target).add(offset);
  }

  /** Come closer (factor below 1) or go away. */
  zoom(factor) {
    this.camera.position.sub(this.controls.target).multiplyScalar(factor).add(this.controls.target);
  }

  /** The names of the model's clips. */
  get clips() {
    return this.animations?.map((clip) => clip.name) ?? [];
  }

  /** Play a clip over and over. */
  playClip(name) {
    this.stopClip();
    this.action = this.mixer.clipAction(this.animations.find((clip) => clip.name === name));
    this.action.play();
  }

  /** Stop, in the rest pose. */
  stopClip() {
    this.mixer?.stopAllAction();
    this.action = null;
    for (const [joint, turned] of this.rest ?? []) joint.quaternion.copy(turned);
  }

  setPaused(isPaused) {
    if (this.action) this.action.paused = isPaused;
  }

  setSkeleton(isOn) {
    if (this.helper) this.scene.remove(this.helper);
    this.helper = null;
    if (!isOn || !this.joints.length) return;
    this.helper = new SkeletonHelper(this.root);
    this.helper.material.depthTest = false;
    this.helper.setColors?.(new Color(0xf0a020), new Color(0x3f5bd9));
    this.scene.add(this.helper);
  }

  setWireframe(isOn) {
    for (const mesh of this.meshes) for (const material of [mesh.material].flat()) material.wireframe = isOn;
  }

  /** Show the texture with light, the texture alone, the shape alone, or its normals. */
  setLook(look) {
    const isWired = [this.meshes[0]?.material].flat()[0]?.wireframe;
    for (const mesh of this.meshes) {
      const own = this.own.get(mesh);
      mesh.material = Array.isArray(own) ? own.map((material) => dress(material, look)) : dress(own, look);
    }
    this.setWireframe(isWired);
  }

  /** The textures of the model: {map, image}. */
  listTextures() {
    const found = new Map();
    for (const mesh of this.meshes) {
      for (const material of [this.own.get(mesh)].flat()) {
        for (const map of MAPS) if (material[map]?.image) found.set(material[map].image, { map, image: material[map].image });
      }
    }
    return [...found.values()];
  }

  /** Turn a joint away from its rest, by degrees about its own axes. */
  poseJoint(joint, degrees) {
    this.stopPlaying();
    const turn = new Quaternion().setFromEuler(new Euler(...degrees.map((angle) => (angle * Math.PI) / 180)));
    joint.quaternion.copy(this.rest.get(joint)).multiply(turn);
  }

  stopPlaying() {
    if (this.action) this.stopClip();
  }

  /** Whether hair or clothes swing by themselves (VRM). */
  get hasSprings() {
    return (this.vrm?.springBoneManager?.joints.size ?? 0) > 0;
  }

  setSprings(isOn) {
    this.swings = isOn;
    if (!isOn) this.vrm?.springBoneManager?.reset();
  }

  /** The names of the model's expressions (VRM). */
  get expressions() {
    return this.vrm?.expressionManager?.expressions.map((expression) => expression.expressionName) ?? [];
  }

  setExpression(name, value) {
    this.vrm.expressionManager.setValue(name, value);
  }

  resize() {
    const { clientWidth, clientHeight } = this.canvas.parentElement;
    if (!clientWidth || !clientHeight) return;
    this.renderer.setSize(clientWidth, clientHeight, false);
    this.camera.aspect = clientWidth / clientHeight;
    this.camera.updateProjectionMatrix();
  }

  draw() {
    const now = performance.now();
    const seconds = Math.min((now - this.last) / 1000, 0.1);
    this.last = now;
    this.mixer?.update(seconds);
    if (this.vrm) {
      this.vrm.expressionManager?.update();
      if (this.swings !== false) this.vrm.springBoneManager?.update(seconds);
    }
    this.controls.update(seconds);
    this.renderer.render(this.scene, this.camera);
    this.drawn = (this.drawn ?? 0) + 1;
  }

  dispose() {
    this.renderer.setAnimationLoop(null);
    this.resizing.disconnect();
    this.clear();
    this.controls.dispose();
    this.renderer.dispose();
  }
}

function dress(material, look) {
  const side = material.side;
  if (look === "shape") return new MeshStandardMaterial({ color: 0xc9ccd6, roughness: 0.85, side });
  if (look === "normals") return new MeshNormalMaterial({ side });
  if (look === "flat") return new MeshBasicMaterial({ map: material.map, color: material.map ? 0xffffff : material.color, side });
  return material;
}

async function loadFbx(bytes) {
  const { FBXLoader } = await import("three/addons/loaders/FBXLoader.js");
  const root = new FBXLoader().parse(bytes, "");
  return { root, animations: root.animations, vrm: null };
}

/** Textures are loaded as images: as bitmaps they would be fetched, which a policy of ComfyUI's own forbids. */
const asImages = (parser) => {
  parser.textureLoader = new TextureLoader(parser.options.manager);
  return { name: "textures_as_images" };
};

async function loadGltf(bytes) {
  const [{ GLTFLoader }, { VRMLoaderPlugin }, { MeshoptDecoder }] = await Promise.all([
    import("three/addons/loaders/GLTFLoader.js"), import("three-vrm"), import("three/addons/libs/meshopt_decoder.module.js"),
  ]);
  const loader = new GLTFLoader().setMeshoptDecoder(MeshoptDecoder);
  loader.register(asImages);
  loader.register((parser) => new VRMLoaderPlugin(parser));
  const gltf = await loader.parseAsync(bytes, "");
  return { root: gltf.scene, animations: gltf.animations, vrm: gltf.userData.vrm ?? null };
}
