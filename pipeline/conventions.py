"""Axes, units, angles, the UV origin and the words of the wire contract: the only place that states them.

Frame (glTF 2.0, section 3.4): right-handed, +Y up, the character faces +Z, metres, origin on the
ground between the feet. The character's left is +X, so the front view shows its left on the right.

Camera angles, radians: azimuth turns about +Y from +Z (front) towards +X (the character's left);
elevation lifts the camera above the ground plane; roll turns it about its own axis, the image's right
side upwards.

UV origin: top left of the texture, v down (glTF). The centre of texel (row i, column j) of an
(H, W) texture is u = (j + 0.5) / W, v = (i + 0.5) / H. Images are (H, W, C), row 0 at the top.

Colors are sRGB-encoded float32 in 0..1 with straight (not premultiplied) alpha.
"""

from __future__ import annotations

import math

UP = (0.0, 1.0, 0.0)
FORWARD = (0.0, 0.0, 1.0)
AXES = ("+X", "-X", "+Y", "-Y", "+Z", "-Z")
AXIS_OPTIONS = ("auto", *AXES)
"""Which axis of a mesh from a file points up, or to the front."""

CHARACTER_HEIGHT = 1.7
"""Height in metres given to a mesh whose source has no scale of its own."""

STAGES = (
    "preprocessing",
    "mesh_generation",
    "generating_multiview_texture",
    "texture_baking",
    "rigging",
)

VIEW_NAMES = ("front", "left", "back", "right", "top", "bottom")
VIEW_AZIMUTHS = (0.0, math.pi / 2, math.pi, -math.pi / 2, math.pi, math.pi)
VIEW_ELEVATIONS = (0.0, 0.0, 0.0, 0.0, math.radians(89.99), -math.radians(89.99))
VIEW_MARGIN = 0.1
"""The six views of MV-Adapter's geometry-guided models, used by every method and by the bake.

The mesh's longest axis spans 1 / (1 + VIEW_MARGIN) of the image's side (half extent 0.55 for a mesh within
±0.5). Sides are the character's own: `left` shows its left side. In the top view its front points up.
89.99 degrees is MV-Adapter's value: at the pole itself its cameras have no up vector.
"""

SIDE_NAMES = ("left", "right", "back", "top")
"""The views of which a person may give pictures beside the front."""

PICTURE_VIEWS = ("auto", "front")
"""What is taken of a picture with several views of one character: all of them, or one as its front."""

REST_POSES = ("大-pose", "T-pose", "A-pose", "No")
"""The rest poses of the wire contract's `pose_type`; `No` detects the pose from the mesh."""

MAX_INFLUENCES = 4
INFLUENCES = (MAX_INFLUENCES, 8)
"""Joints per vertex: what every engine reads, and what a skin may have on request."""

BIND_POSES = ("as generated", "T-pose")
CHARACTER_FORMATS = ("fbx", "glb", "vrm", "vrm0", "usdz")
MESH_SUFFIXES = (
    *(".glb", ".gltf", ".vrm", ".fbx", ".usdz", ".usdc", ".usda", ".usd"),
    *(".obj", ".3mf", ".ply", ".stl", ".off"),
)
MOTION_SUFFIXES = (".bvh", ".fbx", ".glb", ".gltf", ".vrma", ".npz")
"""Of the files that are read as meshes, and as motion; pipeline.formats has a reader for each."""
CAMERAS_FILE = "cameras.json"
"""What says, beside the pictures of views, from where each was seen."""
BONE_NAMES = ("mixamo", "vrm", "unreal", "unity", "godot", "blender", "roblox")
CLIPS = ("idle", "walk", "run", "jump", "wave", "sit", "dance", "t_pose")
ROOT_MOTIONS = ("keep", "in place")
"""Bind poses, file formats, joint names, clips and root motions; also values of form fields."""

CLIP_EDITS = ("remove", "keep only", "rename", "trim", "loop")
MASK_NETWORKS = ("birefnet", "isnet", "u2netp")
"""Networks that predict the mask of a picture's subject, best first."""
CUT_OUT_METHODS = ("auto", "alpha", "drawing", *MASK_NETWORKS, "grabcut")
TEXTURE_SIZES = (1024, 2048, 4096)
