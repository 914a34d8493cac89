"""The maps of a saved character's one material, as pygltflib and ufbx have them."""

import base64
import io

import numpy as np
import pygltflib
from character3d.tests.readers.compare import write_ask
from character3d.tests.readers.locate import run_reader
from PIL import Image


def read_png(data):
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


def read_gltf_maps(path):
    """Name of core's MESH -> texels, of a GLB or a VRM."""
    document = pygltflib.GLTF2().load_binary(path)
    (material,) = document.materials
    pbr, binary = material.pbrMetallicRoughness, document.binary_blob()
    slots = {
        "texture": pbr.baseColorTexture,
        "metallic_roughness": pbr.metallicRoughnessTexture,
        "normal_map": material.normalTexture,
        "emissive": material.emissiveTexture,
        "occlusion": material.occlusionTexture,
    }
    assert material.emissiveFactor == [1, 1, 1] and pbr.metallicFactor == pbr.roughnessFactor == 1
    found = {}
    for role, slot in slots.items():
        if slot is not None:
            view = document.bufferViews[document.images[document.textures[slot.index].source].bufferView]
            found[role] = read_png(binary[view.byteOffset : view.byteOffset + view.byteLength])
    return found


def read_fbx_maps(path):
    """The same of an FBX, whose occlusion, roughness and metalness are pictures of their own."""
    ask = write_ask(path.with_suffix(".ask.json"))
    textures = run_reader("ufbx", path.with_suffix(".report.json"), path, ask)["textures"]
    texels = {name: read_png(base64.b64decode(content)) for name, content in textures.items()}
    packed = [texels["ShininessExponent"][..., 0], texels["ReflectionFactor"][..., 0]]
    occlusion = texels.get("AmbientColor", np.zeros_like(texels["DiffuseColor"]))[..., 0]
    return {
        "texture": texels["DiffuseColor"],
        "metallic_roughness": np.dstack((occlusion, *packed)),
        "normal_map": texels["NormalMap"],
        "emissive": texels["EmissiveColor"],
    }
