"""OBJ, FBX, 3MF, PLY and STL as other programs write them."""

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import trimesh
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.errors import FormatError, MeshError
from character3d.pipeline.formats import read_mesh, write_fbx
from character3d.pipeline.types import Material, TexturedMesh
from character3d.tests.readers.sample_character import make_character
from PIL import Image

FILES = Path(__file__).parents[1] / "files"
FIGURE = (-0.59, 0.001, -0.13), (0.59, 1.705, 0.165)


def write_lines(path, *lines):
    path.write_bytes("\n".join(lines).encode() + b"\n")
    return path


SQUARE = ("v 0 0 0", "v 1 0 0", "v 1 1 0", "v 0 1 0")


# -- OBJ ---------------------------------------------------------------------------------------------


def test_negative_indices_count_from_the_line_they_stand_in():
    mesh = read_mesh(FILES / "negative_indices_interleaved.obj").surface
    np.testing.assert_allclose(mesh.bounds, FIGURE, atol=1e-3)
    assert trimesh.Trimesh(mesh.positions, mesh.faces, process=False).is_watertight


def test_a_mesh_far_from_the_origin_keeps_its_shape_and_is_moved_there():
    loaded = read_mesh(FILES / "far_away.obj")
    low, high = loaded.surface.bounds
    np.testing.assert_allclose(high - low, np.subtract(*FIGURE[::-1]), atol=1e-3)
    np.testing.assert_allclose(low + high, (0, high[1], 0), atol=1e-3)
    assert "583095 units from the origin" in loaded.warnings[0]


@pytest.mark.parametrize(
    "face",
    ["f 1 2 3 4", "f\t1\t2\t3\t4", "f 1/ 2/ 3/ 4/", "f -4 -3 -2 -1", "f 1 2 \\\n3 4", "f 1 2 3 4 # quad"],
)
def test_faces_are_read_however_they_are_written(tmp_path, face):
    mesh = read_mesh(write_lines(tmp_path / "a.obj", *SQUARE, face)).surface
    assert len(mesh.positions) == 4 and len(mesh.faces) == 2


def test_corners_with_and_without_uvs_may_be_mixed(tmp_path):
    lines = (*SQUARE, "vt 0 0", "vt 1 1", "f 1/1 2/2 3/1", "f 1 3 4")
    mesh = read_mesh(write_lines(tmp_path / "a.obj", *lines)).surface
    assert len(mesh.faces) == 2 and mesh.uvs.max() == 1


def test_materials_and_textures_may_have_spaces_in_their_names(tmp_path):
    Image.new("RGB", (2, 2), (10, 200, 30)).save(tmp_path / "my Skin.PNG")
    write_lines(
        tmp_path / "my materials.mtl",
        "newmtl the skin",
        "\tKd 0 0 0",
        "map_Kd -s 1 1 1 -clamp on my skin.png",
        "newmtl coat",
        "Kd 1 0.5 0",
        "d 0.5",
        "newmtl lost",
        "map_Kd C:\\art\\gone.png",
    )
    lines = ("mtllib my materials.mtl", *SQUARE, "vt 0 0", "vt 1 0", "vt 1 1")
    lines += ("o body", "usemtl the skin", "f 1/1 2/2 3/3", "o cloth", "usemtl coat", "f 1 3 4")
    loaded = read_mesh(write_lines(tmp_path / "a.obj", *lines, "usemtl lost", "f 1 2 4"))
    skin, coat, _ = loaded.surface.materials
    np.testing.assert_allclose(skin.base_color[0, 0] * 255, (10, 200, 30, 255), atol=0.01)
    assert skin.wrap == ("CLAMP", "CLAMP")
    np.testing.assert_allclose(coat.base_color[0, 0], (1, 0.5, 0, 0.5), atol=1e-5)
    assert coat.alpha_mode == "BLEND"
    assert loaded.warnings == (
        "a.obj: the texture 'C:\\\\art\\\\gone.png' is left out: it cannot be read beside the file",
    )


def test_a_library_that_is_missing_is_named(tmp_path):
    lines = ("mtllib gone.mtl", *SQUARE, "usemtl skin", "f 1 2 3")
    loaded = read_mesh(write_lines(tmp_path / "a.obj", *lines))
    assert "'gone.mtl' cannot be read" in loaded.warnings[0] and "skin" in loaded.warnings[1]


def test_vertex_colors_after_the_coordinates_are_srgb(tmp_path):
    lines = ("v 0 0 0 1 0 0.5", "v 1 0 0 1 0 0.5", "v 1 1 0 1 0 0.5", "f 1 2 3")
    mesh = read_mesh(write_lines(tmp_path / "a.obj", *lines)).surface
    np.testing.assert_allclose(linear_to_srgb(mesh.colors[0, :3]), (1, 0, 0.5), atol=1e-6)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-be", "utf-8-sig"])
def test_text_in_any_unicode_encoding_is_read(tmp_path, encoding):
    mark = "\ufeff" if encoding == "utf-16-be" else ""
    text = mark + "\n".join((*SQUARE, "f 1 2 3 4"))
    (tmp_path / "a.obj").write_bytes(text.encode(encoding))
    assert len(read_mesh(tmp_path / "a.obj").surface.faces) == 2


@pytest.mark.parametrize("line", ["vn 0 1", "v 1 2"])
def test_numbers_that_are_missing_are_damage(tmp_path, line):
    lines = ("v 0 0 0", "v 1 0 0", "v 0 1 0") if line[1] == "n" else ("v 0 0", "v 1 0", "v 0 1")
    with pytest.raises(FormatError, match="fewer than three numbers"):
        read_mesh(
            write_lines(tmp_path / "a.obj", *lines, line, "f 1//1 2//1 3//1" if line[1] == "n" else "f 1 2 3")
        )


def test_a_texture_of_one_dimension_is_read(tmp_path):
    lines = ("v 0 0 0", "v 1 0 0", "v 0 1 0", "vt 0.25", "f 1/1 2/1 3/1")
    np.testing.assert_allclose(
        read_mesh(write_lines(tmp_path / "a.obj", *lines)).surface.uvs, [(0.25, 1)] * 3
    )


def test_faces_without_any_extent_are_no_triangles(tmp_path):
    lines = ("v 0 0 0", "v 0 0 0", "v 0 0 0", "f 1 2 3")
    with pytest.raises(MeshError, match="no triangles: each of its faces has corners at one place"):
        read_mesh(write_lines(tmp_path / "a.obj", *lines))


@pytest.mark.parametrize("face", ["f 1 2 9", "f 0 1 2", "f -9 1 2", "f 1 2 x", "f 1//3 2//3 3//3"])
def test_a_face_that_names_what_is_not_there_is_refused(tmp_path, face):
    with pytest.raises(FormatError, match=r"a\.obj is damaged"):
        read_mesh(write_lines(tmp_path / "a.obj", *SQUARE, face))


# -- 3MF ---------------------------------------------------------------------------------------------

CORE = "http://schemas.microsoft.com/3dmanufacturing/core/2015/02"


CIRCLE = '<object id="1"><components><component objectid="1"/></components></object>'


def make_3mf(path, resources, build, unit="inch"):
    content = f"<resources>{resources}</resources><build>{build}</build>"
    names = f'xmlns="{CORE}" xmlns:m="{CORE.replace("core", "material")}"'
    model = f'<model unit="{unit}" {names}>{content}</model>'
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("3D/3dmodel.model", model)
    return path


def describe_triangle(identity, attributes="", triangle=""):
    corners = "".join(f'<vertex x="{x}" y="{y}" z="{z}"/>' for x, y, z in ((0, 0, 0), (1, 0, 0), (0, 0, 2)))
    face = f'<triangle v1="0" v2="1" v3="2" {triangle}/>'
    mesh = f"<mesh><vertices>{corners}</vertices><triangles>{face}</triangles></mesh>"
    return f'<object id="{identity}" type="model" {attributes}>{mesh}</object>'


def test_3mf_has_a_unit_and_stands_up():
    loaded = read_mesh(FILES / "millimetres_z_up.3mf")
    np.testing.assert_allclose(loaded.surface.bounds, FIGURE, atol=1e-3)
    assert "millimeters became meters" in loaded.warnings[0]


def test_3mf_places_components_and_keeps_colors(tmp_path):
    materials = '<basematerials id="7"><base name="red" displaycolor="#FF0000"/></basematerials>'
    component = '<component objectid="1" transform="1 0 0 0 1 0 0 0 1 10 0 0"/>'
    moved = f'<object id="2"><components>{component}</components></object>'
    resources = materials + describe_triangle(1, 'pid="7" pindex="0"') + moved
    surface = read_mesh(make_3mf(tmp_path / "a.3mf", resources, '<item objectid="2"/>')).surface
    np.testing.assert_allclose(surface.mesh.bounds, np.array(((10, 0, 0), (11, 2, 0))) * 0.0254, atol=1e-6)
    np.testing.assert_allclose(surface.material.base_color[0, 0], (1, 0, 0, 1), atol=1e-6)


PROPERTIES = """
<m:texture2d id="20" path="/3D/skin.png" contenttype="image/png" tilestyleu="clamp"/>
<m:texture2dgroup id="21" texid="20">
  <m:tex2coord u="0" v="1"/><m:tex2coord u="0.25" v="1"/><m:tex2coord u="0" v="0.75"/>
</m:texture2dgroup>
<m:colorgroup id="22"><m:color color="#FF0000"/><m:color color="#0000FF"/></m:colorgroup>
<basematerials id="23">
  <base name="a" displaycolor="#FF0000"/><base name="b" displaycolor="#0000FF"/>
</basematerials>
<m:compositematerials id="24" matid="23" matindices="0 1">
  <m:composite values="0.5 0.5"/>
</m:compositematerials>
<m:multiproperties id="25" pids="22 21"><m:multi pindices="0 2"/></m:multiproperties>
"""


def read_3mf_with(tmp_path, properties):
    """The mesh of a triangle with these properties, in an archive with a picture: red at its upper left."""
    Image.fromarray(np.array([[(200, 30, 30)] * 2, [(30, 60, 200)] * 2], np.uint8)).save(
        tmp_path / "skin.png"
    )
    resources = PROPERTIES + describe_triangle(1, triangle=properties)
    path = make_3mf(tmp_path / "a.3mf", resources, '<item objectid="1"/>', "foot")
    with zipfile.ZipFile(path, "a") as archive:
        archive.write(tmp_path / "skin.png", "3D/skin.png")
    return read_mesh(path)


def test_3mf_keeps_textures(tmp_path):
    loaded = read_3mf_with(tmp_path, 'pid="21" p1="0" p2="1" p3="2"')
    uvs = {tuple(uv) for uv in loaded.surface.mesh.uvs.tolist()}
    assert uvs == {(0, 0), (0.25, 0), (0, 0.25)}
    np.testing.assert_allclose(loaded.surface.vertex_colors[:, :3] * 255, [(200, 30, 30)] * 3, atol=1)
    assert loaded.surface.material.wrap == ("CLAMP", "REPEAT")
    assert loaded.warnings == ("a.3mf: its feet became meters, and +Z up became +Y up",)


def test_3mf_keeps_a_color_at_each_corner(tmp_path):
    colors = read_3mf_with(tmp_path, 'pid="22" p1="0" p2="1" p3="0"').surface.mesh.colors
    assert sorted(colors.tolist()) == [[0, 0, 1, 1], [1, 0, 0, 1], [1, 0, 0, 1]]


def test_3mf_mixes_composite_materials(tmp_path):
    surface = read_3mf_with(tmp_path, 'pid="24" p1="0"').surface
    expected = [*linear_to_srgb(np.array((0.5, 0, 0.5))), 1]
    np.testing.assert_allclose(surface.material.base_color[0, 0], expected, atol=1e-6)


def test_3mf_has_one_of_several_layers_and_says_so(tmp_path):
    loaded = read_3mf_with(tmp_path, 'pid="25" p1="0"')
    np.testing.assert_allclose(loaded.surface.mesh.uvs, [(0, 0.25)] * len(loaded.surface.mesh.uvs))
    assert "of several layers" in loaded.warnings[1]


@pytest.mark.parametrize(
    ("properties", "words"),
    [
        ('pid="21" p1="9"', "property 9 of 3"),
        ('pid="22" p1="x"', "a <triangle> has a value that cannot be read"),
        ('pid="24" p1="3"', "property 3 of 1"),
    ],
)
def test_3mf_with_properties_that_are_not_there_is_refused(tmp_path, properties, words):
    with pytest.raises(FormatError, match=f"a.3mf is damaged: .*{words}"):
        read_3mf_with(tmp_path, properties)


@pytest.mark.parametrize(
    ("resources", "build", "unit"),
    [
        ("", '<item objectid="1"/>', "inch"),
        (describe_triangle(1).replace('v3="2"', 'v3="5"'), '<item objectid="1"/>', "inch"),
        (describe_triangle(1), '<item objectid="1"/>', "furlong"),
        (CIRCLE, '<item objectid="1"/>', "inch"),
    ],
)  # fmt: skip
def test_a_damaged_3mf_is_refused(tmp_path, resources, build, unit):
    with pytest.raises(FormatError, match=r"a\.3mf is damaged"):
        read_mesh(make_3mf(tmp_path / "a.3mf", resources, build, unit))


def test_an_archive_of_something_else_is_refused(tmp_path):
    (tmp_path / "a.3mf").write_bytes(b"no archive")
    with pytest.raises(FormatError, match="damaged"):
        read_mesh(tmp_path / "a.3mf")


# -- FBX ---------------------------------------------------------------------------------------------


def test_an_fbx_comes_back_in_meters_with_its_materials(tmp_path):
    character = make_character()
    mesh = character.textured.mesh
    numbers = np.zeros(len(mesh.positions), np.uint16)
    numbers[mesh.faces[len(mesh.faces) // 2 :]] = 1
    keep = (numbers[mesh.faces] == numbers[mesh.faces[:, :1]]).all(axis=1)
    mesh = replace(mesh, faces=mesh.faces[keep], material_numbers=numbers)
    glow = Material(
        np.full((2, 2, 4), (0, 1, 0, 1.0)), name="glow", emissive=(0, 0.5, 0), wrap=("REPEAT", "CLAMP")
    )
    textured = TexturedMesh(mesh, character.textured.material, (glow,))
    write_fbx(tmp_path / "a.fbx", replace(character, textured=textured))
    surface = read_mesh(tmp_path / "a.fbx").surface
    np.testing.assert_allclose(surface.mesh.bounds, mesh.bounds, atol=1e-4)
    first, second = surface.materials
    np.testing.assert_allclose(first.base_color[..., :3], textured.material.base_color[..., :3], atol=0.003)
    np.testing.assert_allclose(second.base_color[0, 0], (0, 1, 0, 1))
    assert second.name == "glow" and second.wrap == ("REPEAT", "CLAMP")
    np.testing.assert_allclose(second.emissive, (0, 0.5, 0))
    np.testing.assert_array_equal(np.bincount(surface.face_materials), np.bincount(textured.face_materials))


ASCII_FBX = """; FBX 7.4.0 project file
FBXHeaderExtension:  {
	FBXHeaderVersion: 1003
	FBXVersion: 7400
}
GlobalSettings:  {
	Version: 1000
	Properties70:  {
		P: "UpAxis", "int", "Integer", "",2
		P: "UpAxisSign", "int", "Integer", "",1
		P: "FrontAxis", "int", "Integer", "",1
		P: "FrontAxisSign", "int", "Integer", "",-1
		P: "CoordAxis", "int", "Integer", "",0
		P: "CoordAxisSign", "int", "Integer", "",1
		P: "UnitScaleFactor", "double", "Number", "",1
	}
}
Objects:  {
	Geometry: 1, "Geometry::", "Mesh" {
		Vertices: *12 {
			a: 0,0,0,50,0,0,50,0,170,0,0,170
		}
		PolygonVertexIndex: *4 {
			a: 0,1,2,-4
		}
	}
	Model: 2, "Model::Body", "Mesh" {
		Version: 232
	}
}
Connections:  {
	C: "OO",1,2
	C: "OO",2,0
}
"""


def test_an_ascii_fbx_of_centimetres_that_is_z_up_stands(tmp_path):
    (tmp_path / "a.fbx").write_text(ASCII_FBX)
    mesh = read_mesh(tmp_path / "a.fbx").surface
    np.testing.assert_allclose(mesh.bounds, ((0, 0, 0), (0.5, 1.7, 0)), atol=1e-6)
    assert len(mesh.faces) == 2


@pytest.mark.parametrize(("content", "words"), [(b"", "empty"), (b"Kaydara FBX Binary  \x00\x1a", "damaged")])
def test_a_damaged_fbx_is_refused(tmp_path, content, words):
    (tmp_path / "a.fbx").write_bytes(content)
    with pytest.raises(FormatError, match=rf"a\.fbx is {words}"):
        read_mesh(tmp_path / "a.fbx")


def test_a_format_without_its_package_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setattr("character3d.pipeline.formats.reading.apart.has_soft", lambda _name: False)
    (tmp_path / "a.fbx").write_text(ASCII_FBX)
    with pytest.raises(FormatError, match="FBX needs the Python package ufbx: pip install ufbx"):
        read_mesh(tmp_path / "a.fbx")
    (tmp_path / "a.usdz").write_bytes(b"PK")
    with pytest.raises(FormatError, match="USD needs the Python package usd-core: pip install usd-core"):
        read_mesh(tmp_path / "a.usdz")


# -- the others --------------------------------------------------------------------------------------


def test_a_ply_keeps_its_vertex_colors(tmp_path):
    box = trimesh.creation.box()
    box.visual.vertex_colors = np.tile((200, 30, 60, 255), (8, 1))
    box.export(tmp_path / "a.ply")
    colors = read_mesh(tmp_path / "a.ply").surface.colors
    np.testing.assert_allclose(linear_to_srgb(colors[:, :3]) * 255, np.tile((200, 30, 60), (8, 1)), atol=0.6)


@pytest.mark.parametrize(
    ("name", "advice"),
    [("a.blend", "open it in Blender and export"), ("a.MA", "from Maya")],
)
def test_other_formats_are_refused_with_what_to_do(tmp_path, name, advice):
    with pytest.raises(FormatError, match=advice):
        read_mesh(tmp_path / name)
