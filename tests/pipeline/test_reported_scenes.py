"""3MF, glTF, FBX and USD as bug reports of other programs describe them, with what is right in each."""

import base64
import json
import struct
import zipfile

import numpy as np
import pytest
from character3d.pipeline.formats import read_mesh
from character3d.tests.reported_files import (
    SQUARE,
    get_mesh,
    list_colors,
    make_fbx,
    make_usd,
    measure_area,
    read,
    save_picture,
)

# 3MF

CORE = 'xmlns="http://schemas.microsoft.com/3dmanufacturing/core/2015/02"'
MATERIAL = 'xmlns:m="http://schemas.microsoft.com/3dmanufacturing/material/2015/02"'
PRODUCTION = 'xmlns:p="http://schemas.microsoft.com/3dmanufacturing/production/2015/06"'
VERTICES = "<vertices>" + "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in SQUARE) + "</vertices>"
MESH = (
    f'<mesh>{VERTICES}<triangles><triangle v1="0" v2="1" v3="2"{{}}/>'
    '<triangle v1="0" v2="2" v3="3"{}/></triangles></mesh>'
)
WITHIN = '<object id="{}"><components><component objectid="{}" transform="{}"/></components></object>'


def read_3mf(path, resources, items, unit="", others=()):
    with zipfile.ZipFile(path, "w") as archive:
        names = f"{CORE} {MATERIAL} {PRODUCTION}"
        text = f"<model {unit} {names}><resources>{resources}</resources><build>{items}</build></model>"
        archive.writestr("3D/3dmodel.model", text)
        for name, other in others:
            archive.writestr(name, f"<model {names}><resources>{other}</resources><build/></model>")
    return read_mesh(path)


def test_3mf_moves_in_its_unit(tmp_path):
    body = f'<object id="1" type="model">{MESH.format("", "")}</object>'
    item = '<item objectid="1" transform="1 0 0 0 1 0 0 0 1 2 0 10"/>'
    mesh = read_3mf(tmp_path / "a.3mf", body, item, 'unit="inch"').surface
    np.testing.assert_allclose(mesh.bounds, np.array([(2, 10, -1), (3, 10, 0)]) * 0.0254, atol=1e-6)


def test_3mf_without_a_unit_is_in_millimeters(tmp_path):
    body = f'<object id="1">{MESH.format("", "")}</object>'
    mesh = read_3mf(tmp_path / "a.3mf", body, '<item objectid="1"/>').surface
    assert measure_area(mesh) == pytest.approx(1e-6)


def test_3mf_mirrored_components_in_components(tmp_path):
    """A mirrored part is turned over, so that its outside stays outside."""
    body = f'<object id="1">{MESH.format("", "")}</object>'
    body += WITHIN.format(2, 1, "-1 0 0 0 1 0 0 0 1 5 0 0") + WITHIN.format(3, 2, "1 0 0 0 1 0 0 0 1 0 0 7")
    mesh = read_3mf(tmp_path / "a.3mf", body, '<item objectid="3"/>').surface
    np.testing.assert_allclose(np.array(mesh.bounds) * 1000, [(4, 7, -1), (5, 7, 0)], atol=1e-4)
    one, two, three = (mesh.positions[mesh.faces[:, corner]] for corner in range(3))
    assert (np.cross(two - one, three - one)[:, 1] > 0).all()  # +Z there is +Y here


def test_3mf_base_materials_and_the_default_of_an_object(tmp_path):
    body = '<basematerials id="9"><base name="a" displaycolor="#C81E3C"/>'
    body += '<base name="b" displaycolor="#0000FFFF"/></basematerials>'
    body += f"""<object id="1" pid="9" pindex="0">{MESH.format("", ' pid="9" p1="1"')}</object>"""
    surface = read_3mf(tmp_path / "a.3mf", body, '<item objectid="1"/>').surface
    colors = list_colors(surface)
    np.testing.assert_allclose(sorted(colors.tolist()), [(0, 0, 255), (200, 30, 60)], atol=1)


def test_3mf_parts_of_other_models(tmp_path):
    other = f'<object id="4">{MESH.format("", "")}</object>'
    body = '<object id="1"><components><component objectid="4" p:path="/3D/Objects/part.model"/>'
    body += "</components></object>"
    mesh = read_3mf(
        tmp_path / "a.3mf", body, '<item objectid="1"/>', others=[("3D/Objects/part.model", other)]
    ).surface
    assert len(mesh.faces) == 2


def test_3mf_painted_in_a_slicer_says_what_is_lost(tmp_path):
    body = f'<object id="1">{MESH.format(" paint_color=" + chr(34) + "0C" + chr(34), "")}</object>'
    loaded = read_3mf(tmp_path / "a.3mf", body, '<item objectid="1"/>')
    assert any("paint" in warning for warning in loaded.warnings)


# glTF


def make_gltf(attributes, faces, more=None, primitive=None, node=None):
    """A .gltf of one node. attributes: name -> (array, component type, extra keys of the accessor)."""
    data, views, accessors, names = b"", [], [], {}
    for name, (array, component, extra) in {
        **attributes,
        "faces": (np.ravel(faces).astype(np.uint16), 5123, {}),
    }.items():
        held = np.ascontiguousarray(array)
        views.append({"buffer": 0, "byteOffset": len(data), "byteLength": held.nbytes})
        kind = "SCALAR" if held.ndim == 1 else f"VEC{held.shape[1]}"
        accessors.append(
            {"bufferView": len(names), "componentType": component, "count": len(held), "type": kind, **extra}
        )
        names[name] = len(names)
        data += held.tobytes() + b"\0" * (-held.nbytes % 4)
    index = names.pop("faces")
    tree = {
        "asset": {"version": "2.0"},
        "nodes": [{"mesh": 0, **(node or {})}],
        "meshes": [{"primitives": [{"attributes": names, "indices": index, **(primitive or {})}]}],
        "accessors": accessors,
        "bufferViews": views,
        "buffers": [{"byteLength": len(data), "uri": "data:;base64," + base64.b64encode(data).decode()}],
        **(more or {}),
    }
    return json.dumps(tree)


POSITION = (np.array(SQUARE, np.float32), 5126, {})
FACES = [(0, 1, 2), (0, 2, 3)]


@pytest.mark.parametrize(
    ("kind", "component", "top", "width", "extra"),
    [
        (np.uint8, 5121, 255, 4, {"normalized": True}),
        (np.uint16, 5123, 65535, 3, {"normalized": True}),
        (np.uint8, 5121, 255, 4, {}),
        (np.uint16, 5123, 65535, 4, {}),
    ],
)
def test_gltf_colors_of_integers_with_and_without_the_flag(tmp_path, kind, component, top, width, extra):
    linear = np.array((0.5, 0.25, 0.1, 1))[:width]
    rows = np.tile(np.round(linear * top), (4, 1)).astype(kind)
    if width == 3:
        rows = np.c_[rows, np.zeros(4, kind)][:, :3]
    text = make_gltf({"POSITION": POSITION, "COLOR_0": (rows[:, :width], component, extra)}, FACES)
    surface = read(tmp_path / "a.gltf", text).surface
    np.testing.assert_allclose(get_mesh(surface).colors[:, :3], np.tile(linear[:3], (4, 1)), atol=0.005)


def test_gltf_without_scenes_shows_all_nodes_and_mirrored_ones_outward(tmp_path):
    node = {"matrix": [-1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 3, 0, 0, 1]}
    mesh = get_mesh(read(tmp_path / "a.gltf", make_gltf({"POSITION": POSITION}, FACES, node=node)).surface)
    np.testing.assert_allclose(mesh.bounds, [(2, 0, 0), (3, 1, 0)], atol=1e-6)
    one, two, three = (mesh.positions[mesh.faces[:, corner]] for corner in range(3))
    assert (np.cross(two - one, three - one)[:, 2] > 0).all()


def test_gltf_second_uvs_and_a_picture_that_is_no_jpeg(tmp_path):
    save_picture(tmp_path / "skin.png")
    uri = "data:image/jpeg;base64," + base64.b64encode((tmp_path / "skin.png").read_bytes()).decode()
    uvs = np.array([(0.1, 0.1)] * 4, np.float32), np.array([(0.9, 0.1)] * 4, np.float32)
    more = {
        "images": [{"uri": uri}],
        "textures": [{"source": 0}],
        "materials": [{"pbrMetallicRoughness": {"baseColorTexture": {"index": 0, "texCoord": 1}}}],
    }
    attributes = {"POSITION": POSITION, "TEXCOORD_0": (uvs[0], 5126, {}), "TEXCOORD_1": (uvs[1], 5126, {})}
    surface = read(tmp_path / "a.gltf", make_gltf(attributes, FACES, more, {"material": 0})).surface
    np.testing.assert_allclose(list_colors(surface), [(30, 60, 200)] * 2, atol=1)


def test_a_glb_that_is_called_gltf_and_the_other_way(tmp_path):
    text = make_gltf({"POSITION": POSITION}, FACES).encode()
    text += b" " * (-len(text) % 4)
    packed = struct.pack("<4sIII4s", b"glTF", 2, 20 + len(text), len(text), b"JSON") + text
    for name, data in (("a.gltf", packed), ("a.glb", text)):
        assert measure_area(get_mesh(read(tmp_path / name, data).surface)) == pytest.approx(1)


# FBX


def test_fbx_in_inches(tmp_path):
    pytest.importorskip("ufbx")
    settings = 'P: "UnitScaleFactor", "double", "Number", "",2.54'
    mesh = read(tmp_path / "a.fbx", make_fbx(SQUARE, [0, 1, 2, -4], settings)).surface
    assert measure_area(mesh) == pytest.approx(0.0254**2)


def test_fbx_geometric_translation_and_pivots(tmp_path):
    """3ds Max moves the geometry alone; Maya turns around a pivot."""
    pytest.importorskip("ufbx")
    model = """P: "GeometricTranslation", "Vector3D", "Vector", "",0,0,10
			P: "RotationPivot", "Vector3D", "Vector", "",10,0,0
			P: "Lcl Rotation", "Lcl Rotation", "", "A",0,0,180"""
    mesh = read(tmp_path / "a.fbx", make_fbx(SQUARE, [0, 1, 2, -4], model=model)).surface
    np.testing.assert_allclose(np.array(mesh.bounds) * 100, [(19, -1, 10), (20, 0, 10)], atol=1e-3)


def test_fbx_mirrored_models_face_outward(tmp_path):
    pytest.importorskip("ufbx")
    model = 'P: "Lcl Scaling", "Lcl Scaling", "", "A",-1,1,1'
    mesh = read(tmp_path / "a.fbx", make_fbx(SQUARE, [0, 1, 2, -4], model=model)).surface
    one, two, three = (mesh.positions[mesh.faces[:, corner]] for corner in range(3))
    assert (np.cross(two - one, three - one)[:, 2] > 0).all()


def test_fbx_colors_by_index(tmp_path):
    pytest.importorskip("ufbx")
    layer = """LayerElementColor: 0 {
			MappingInformationType: "ByPolygonVertex"
			ReferenceInformationType: "IndexToDirect"
			Colors: *8 {
				a: 1,0,0,1,0,0,1,1
			}
			ColorIndex: *6 {
				a: 0,0,0,1,1,1
			}
		}
		Layer: 0 {
			LayerElement:  {
				Type: "LayerElementColor"
				TypedIndex: 0
			}
		}"""
    text = make_fbx(SQUARE, [0, 1, -3, 0, 2, -4], geometry=layer)
    np.testing.assert_allclose(
        list_colors(read(tmp_path / "a.fbx", text).surface), [(255, 0, 0), (0, 0, 255)], atol=1
    )


@pytest.mark.parametrize(
    ("properties", "alpha"),
    [
        ('P: "TransparencyFactor", "Number", "", "A",1\n P: "TransparentColor", "Color", "", "A",0,0,0', 1),
        (
            'P: "TransparencyFactor", "Number", "", "A",0.5\n P: "TransparentColor", "Color", "", "A",1,1,1',
            0.5,
        ),
        ('P: "TransparencyFactor", "Number", "", "A",0', 1),
        ('P: "Opacity", "double", "Number", "",1', 1),
    ],
)
def test_fbx_transparency(tmp_path, properties, alpha):
    pytest.importorskip("ufbx")
    extra = f"""Material: 3, "Material::skin", "" {{
		ShadingModel: "lambert"
		Properties70:  {{
			P: "DiffuseColor", "Color", "", "A",1,0,0
			{properties}
		}}
	}}"""
    text = make_fbx(SQUARE, [0, 1, 2, -4], extra=extra, connections='C: "OO",3,2')
    material = read(tmp_path / "a.fbx", text).surface.material
    np.testing.assert_allclose(material.base_color[0, 0], (1, 0, 0, alpha), atol=0.01)


def test_fbx_textures_named_by_a_windows_path(tmp_path):
    pytest.importorskip("ufbx")
    save_picture(tmp_path / "skin.png", (200, 30, 60), (200, 30, 60))
    extra = r"""Material: 3, "Material::skin", "" {
	}
	Texture: 4, "Texture::skin", "" {
		FileName: "C:\Users\me\textures\Skin.PNG"
		RelativeFilename: "..\textures\Skin.PNG"
	}"""
    links = 'C: "OO",3,2\n	C: "OP",4,3, "DiffuseColor"'
    uvs = """LayerElementUV: 0 {
			MappingInformationType: "ByPolygonVertex"
			ReferenceInformationType: "Direct"
			UV: *8 {
				a: 0.4,0.4,0.6,0.4,0.6,0.6,0.4,0.6
			}
		}"""
    loaded = read(
        tmp_path / "a.fbx", make_fbx(SQUARE, [0, 1, 2, -4], extra=extra, geometry=uvs, connections=links)
    )
    np.testing.assert_allclose(list_colors(loaded.surface), [(200, 30, 60)] * 2, atol=1)
    assert not loaded.warnings


# USD


def test_usd_colors_by_index_at_each_corner(tmp_path):
    pytest.importorskip("pxr")
    mesh = """color3f[] primvars:displayColor = [(1, 0, 0), (0, 0, 1)] (interpolation = "faceVarying")
        int[] primvars:displayColor:indices = [0, 0, 0, 1, 1, 1]"""
    surface = read(tmp_path / "a.usda", make_usd(SQUARE, [3, 3], [0, 1, 2, 0, 2, 3], mesh)).surface
    np.testing.assert_allclose(list_colors(surface), [(255, 0, 0), (0, 0, 255)], atol=1)


def test_usd_places_that_do_not_inherit(tmp_path):
    pytest.importorskip("pxr")
    mesh = """double3 xformOp:translate = (0, 7, 0)
        uniform token[] xformOpOrder = ["!resetXformStack!", "xformOp:translate"]"""
    found = get_mesh(read(tmp_path / "a.usda", make_usd(SQUARE, [4], range(4), mesh)).surface)
    np.testing.assert_allclose(found.bounds, [(0, 7, 0), (1, 8, 0)], atol=1e-6)


def test_usd_holes(tmp_path):
    pytest.importorskip("pxr")
    mesh = "int[] holeIndices = [1]"
    surface = read(tmp_path / "a.usda", make_usd(SQUARE, [3, 3], [0, 1, 2, 0, 2, 3], mesh)).surface
    assert len(get_mesh(surface).faces) == 1


def test_usd_variants(tmp_path):
    pytest.importorskip("pxr")
    text = """#usda 1.0
(
    metersPerUnit = 1
    upAxis = "Y"
)
def Xform "root" (
    variants = {
        string size = "large"
    }
    prepend variantSets = "size"
)
{
    variantSet "size" = {
        "small" {
            def Mesh "body" {
                point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]
                int[] faceVertexCounts = [3]
                int[] faceVertexIndices = [0, 1, 2]
            }
        }
        "large" {
            def Mesh "body" {
                point3f[] points = [(0, 0, 0), (4, 0, 0), (0, 4, 0)]
                int[] faceVertexCounts = [3]
                int[] faceVertexIndices = [0, 1, 2]
            }
        }
    }
}
"""
    assert measure_area(get_mesh(read(tmp_path / "a.usda", text).surface)) == pytest.approx(8)


def test_usd_both_sides(tmp_path):
    pytest.importorskip("pxr")
    mesh = "uniform bool doubleSided = 1\n        rel material:binding = </skin>"
    skin = """def Material "skin" {
    token outputs:surface.connect = </skin/surface.outputs:surface>
    def Shader "surface" {
        uniform token info:id = "UsdPreviewSurface"
        color3f inputs:diffuseColor = (1, 0, 0)
        token outputs:surface
    }
}"""
    assert read(
        tmp_path / "a.usda", make_usd(SQUARE, [4], range(4), mesh, skin)
    ).surface.material.is_double_sided
