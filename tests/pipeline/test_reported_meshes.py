"""PLY, STL, OBJ and polygons as bug reports of other programs describe them, with what is right in each."""

import struct

import numpy as np
import pytest
from character3d.pipeline.errors import Character3DError
from character3d.tests.reported_files import (
    L_SHAPE,
    PLY_HEAD,
    SQUARE,
    get_mesh,
    list_colors,
    make_fbx,
    make_usd,
    measure_area,
    read,
    save_picture,
)

# PLY


@pytest.mark.parametrize("name", ["vertex_index", "vertex_indices"])
@pytest.mark.parametrize("count", ["uchar", "ushort", "int", "uint8"])
def test_ply_lists_of_any_type(tmp_path, name, count):
    text = PLY_HEAD.format("obj_info made by hand\ncomment a comment\n") + (
        f"element face 1\nproperty list {count} uint {name}\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"
    )
    mesh = read(tmp_path / "a.ply", text).surface
    assert len(mesh.faces) == 2 and measure_area(mesh) == pytest.approx(1)


@pytest.mark.parametrize(
    ("names", "kind", "value"),
    [
        (("red", "green", "blue"), "uchar", (200, 30, 60)),
        (("red", "green", "blue"), "float", (0.784, 0.118, 0.235)),
        (("r", "g", "b"), "uchar", (200, 30, 60)),
        (("diffuse_red", "diffuse_green", "diffuse_blue"), "uchar", (200, 30, 60)),
        (("red", "green", "blue"), "ushort", (51400, 7710, 15420)),
    ],
)
def test_ply_colors_of_any_name_and_type(tmp_path, names, kind, value):
    rows = "".join(f"{x} {y} {z} {' '.join(map(str, value))}\n" for x, y, z in SQUARE)
    properties = "".join(f"property {kind} {name}\n" for name in names)
    text = (
        PLY_HEAD.format("")
        + properties
        + "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    )
    surface = read(tmp_path / "a.ply", text + rows + "4 0 1 2 3\n").surface
    np.testing.assert_allclose(list_colors(surface), [(200, 30, 60)] * 2, atol=1.5)


def test_ply_colors_of_faces(tmp_path):
    text = PLY_HEAD.format("") + (
        "element face 2\nproperty list uchar int vertex_indices\nproperty uchar red\nproperty uchar green\n"
        "property uchar blue\nend_header\n0 0 0\n1 0 0\n1 1 0\n0 1 0\n3 0 1 2 255 0 0\n3 0 2 3 0 0 255\n"
    )
    surface = read(tmp_path / "a.ply", text).surface
    colors = list_colors(surface)
    np.testing.assert_allclose(colors, [(255, 0, 0), (0, 0, 255)], atol=1)


def test_ply_wedge_uvs_with_a_texture(tmp_path):
    save_picture(tmp_path / "skin.png")
    text = PLY_HEAD.format("comment TextureFile skin.png\n") + (
        "element face 2\nproperty list uchar int vertex_indices\n"
        "property list uchar float texcoord\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 0\n"
        "3 0 1 2 6 0.1 0.1 0.2 0.1 0.2 0.2\n3 0 2 3 6 0.8 0.1 0.9 0.1 0.9 0.2\n"
    )
    surface = read(tmp_path / "a.ply", text).surface
    np.testing.assert_allclose(list_colors(surface), [(200, 30, 30), (30, 60, 200)], atol=1)


@pytest.mark.parametrize("names", [("s", "t"), ("u", "v"), ("texture_u", "texture_v")])
def test_ply_uvs_of_vertices_with_a_texture(tmp_path, names):
    save_picture(tmp_path / "skin.png")
    properties = "".join(f"property float {name}\n" for name in names)
    text = PLY_HEAD.format("comment TextureFile skin.png\n") + properties
    text += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
    text += "0 0 0 .8 .1\n1 0 0 .9 .1\n1 1 0 .9 .2\n0 1 0 .8 .2\n4 0 1 2 3\n"
    surface = read(tmp_path / "a.ply", text).surface
    np.testing.assert_allclose(list_colors(surface), [(30, 60, 200)] * 2, atol=1)


def test_ply_strips(tmp_path):
    text = PLY_HEAD.format("") + (
        "element tristrips 1\nproperty list int int vertex_indices\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 0\n9 0 1 3 2 -1 3 2 0 -1\n"
    )
    mesh = read(tmp_path / "a.ply", text).surface
    assert len(mesh.faces) == 3 and measure_area(mesh) == pytest.approx(1.5)
    normals = np.cross(
        *(mesh.positions[mesh.faces[:2, corner]] - mesh.positions[mesh.faces[:2, 0]] for corner in (1, 2))
    )
    assert (normals[:, 2] > 0).all()


def test_ply_with_crlf_and_doubles(tmp_path):
    text = PLY_HEAD.format("").replace("float", "double") + (
        "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        "0 0 0\n1 0 0\n1 1 0\n0 1 0\n4 0 1 2 3\n"
    )
    mesh = read(tmp_path / "a.ply", text.replace("\n", "\r\n")).surface
    assert measure_area(mesh) == pytest.approx(1)


# STL


def pack_stl(header, attributes):
    triangles = [[SQUARE[0], SQUARE[1], SQUARE[2]], [SQUARE[0], SQUARE[2], SQUARE[3]]]
    data = header.ljust(80, b"\0") + struct.pack("<I", 2)
    for triangle, attribute in zip(triangles, attributes, strict=True):
        data += struct.pack("<12fH", 0, 0, 1, *np.ravel(triangle), attribute)
    return data


def pack_555(red, green, blue, top):
    return top << 15 | red | green << 5 | blue << 10


def test_a_binary_stl_that_begins_with_solid_and_has_bytes_at_its_end(tmp_path):
    mesh = read(tmp_path / "a.stl", pack_stl(b"solid exported", (0, 0)) + b"\0" * 12).surface
    assert measure_area(mesh) == pytest.approx(1)


def test_stl_colors_of_magics(tmp_path):
    header = b"COLOR=" + bytes((0, 0, 255, 255)) + b",MATERIAL=" + bytes(12)
    surface = read(
        tmp_path / "a.stl", pack_stl(header, (pack_555(31, 0, 0, 0), pack_555(0, 0, 0, 1)))
    ).surface
    np.testing.assert_allclose(list_colors(surface), [(255, 0, 0), (0, 0, 255)], atol=1)


def test_stl_colors_of_viscam(tmp_path):
    """There blue is in the lowest bits, and the highest bit says that the color counts."""
    attributes = pack_555(0, 0, 31, 1), pack_555(31, 0, 0, 1)
    surface = read(tmp_path / "a.stl", pack_stl(b"VisCAM", attributes)).surface
    np.testing.assert_allclose(list_colors(surface), [(255, 0, 0), (0, 0, 255)], atol=1)


def test_an_ascii_stl_of_two_solids_in_capitals(tmp_path):
    solid = (
        "SOLID part\nFACET NORMAL 0 0 1\nOUTER LOOP\nVERTEX {0} 0 0\nVERTEX {1} 0 0\nVERTEX {0} 2 0\n"
        "ENDLOOP\nENDFACET\nENDSOLID part\n"
    )
    for text in (solid, solid.lower().replace("\n", "\r\n")):
        mesh = read(tmp_path / "a.stl", text.format(0, 1) + text.format(5, 6)).surface
        assert len(mesh.faces) == 2 and measure_area(mesh) == pytest.approx(2)


# OBJ

OBJ = (
    "mtllib a.mtl\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nvt .8 .1\nvt .9 .1\nvt .9 .2\nusemtl skin\n"
    "f 1/1 2/2 3/3\nf 1/1 3/3 4/2"
)


@pytest.mark.parametrize(
    "line",
    [
        "map_Kd my skin.png",
        "map_KD my skin.png",
        "map_Kd -clamp on -o 0 0 0 -s 1 1 1 my skin.png",
        r"map_Kd C:\Users\me\My Textures\my skin.png",
        r"map_Kd textures\MY SKIN.PNG",
        "map_Ka other.png\nmap_Kd my skin.png\nmap_Ka other.png",
        "map_Kd -blendu on -mm 0 1 my skin.png   ",
    ],
)
def test_obj_textures_however_they_are_named(tmp_path, line):
    save_picture(tmp_path / "my skin.png")
    save_picture(tmp_path / "other.png", (0, 0, 0), (0, 0, 0))
    (tmp_path / "a.mtl").write_text(f"newmtl skin\nKa 1 1 1\nKd 1 1 1\n{line}\n")
    loaded = read(tmp_path / "a.obj", OBJ)
    np.testing.assert_allclose(list_colors(loaded.surface), [(30, 60, 200)] * 2, atol=1)
    assert not loaded.warnings


def test_obj_uvs_that_a_texture_moves(tmp_path):
    """-o moves and -s scales what the texture is read at."""
    save_picture(tmp_path / "skin.png")
    (tmp_path / "a.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd -o -0.6 0 0 -s 1 1 1 skin.png\n")
    surface = read(tmp_path / "a.obj", OBJ).surface
    np.testing.assert_allclose(list_colors(surface), [(200, 30, 30)] * 2, atol=1)


@pytest.mark.parametrize(
    ("lines", "alpha"), [("d 0.25", 0.25), ("Tr 0.75", 0.25), ("d 1.0\nTr 0.0", 1), ("d 1\nTr 1", 1)]
)
def test_obj_opacity(tmp_path, lines, alpha):
    """`Tr` is what `d` is not; where a file has both, `d` counts."""
    (tmp_path / "a.mtl").write_text(f"newmtl skin\nKd 1 0 0\n{lines}\n")
    material = read(tmp_path / "a.obj", OBJ).surface.material
    assert material.base_color[0, 0, 3] == pytest.approx(alpha, abs=0.01)


def test_obj_opacity_of_a_picture(tmp_path):
    save_picture(tmp_path / "skin.png")
    save_picture(tmp_path / "clear.png", (255, 255, 255), (0, 0, 0))
    (tmp_path / "a.mtl").write_text("newmtl skin\nKd 1 1 1\nmap_Kd skin.png\nmap_d clear.png\n")
    loaded = read(tmp_path / "a.obj", OBJ)
    alpha = loaded.surface.material.base_color[0, :, 3]
    assert (alpha[0], alpha[-1]) == (1, 0) or any("clear.png" in warning for warning in loaded.warnings)


def test_obj_of_another_locale_and_with_one_number_a_uv(tmp_path):
    with pytest.raises(Character3DError, match="is damaged"):
        read(tmp_path / "a.obj", "v 0,5 0,0 0,0\nv 1,0 0,0 0,0\nv 1,0 1,0 0,0\nf 1 2 3\n")
    mesh = read(tmp_path / "b.obj", "v 0 0 0 1\nv 1 0 0 1\nv 1 1 0 1\nvt .5\nf 1/1/ 2/1/ 3/1/").surface
    assert len(get_mesh(mesh).faces) == 1


def test_obj_colors_of_0_to_255(tmp_path):
    rows = "".join(f"v {x} {y} {z} 200 30 60\n" for x, y, z in SQUARE)
    surface = read(tmp_path / "a.obj", rows + "f 1 2 3 4\n").surface
    np.testing.assert_allclose(list_colors(surface), [(200, 30, 60)] * 2, atol=1)


def test_obj_capitals_in_the_suffix(tmp_path):
    assert measure_area(read(tmp_path / "A.OBJ", OBJ.replace("mtllib a.mtl", "")).surface) == pytest.approx(1)


# Polygons with an inner corner


@pytest.mark.parametrize("start", range(6))
def test_obj_polygons_with_an_inner_corner(tmp_path, start):
    turned = L_SHAPE[start:] + L_SHAPE[:start]
    text = "".join(f"v {x} {y} 0\n" for x, y in turned) + "f 1 2 3 4 5 6\n"
    mesh = read(tmp_path / "a.obj", text).surface
    assert len(mesh.faces) == 4 and measure_area(mesh) == pytest.approx(3)


def test_an_arrow_of_four_corners(tmp_path):
    for start in range(4):
        arrow = [(0, 0), (2, 1), (0, 2), (1, 1)]
        turned = arrow[start:] + arrow[:start]
        text = "".join(f"v {x} {y} 0\n" for x, y in turned) + "f 1 2 3 4\n"
        assert measure_area(read(tmp_path / "a.obj", text).surface) == pytest.approx(1)


@pytest.mark.parametrize("suffix", ["fbx", "usda", "ply"])
def test_polygons_with_an_inner_corner_of_other_formats(tmp_path, suffix):
    turned = L_SHAPE[1:] + L_SHAPE[:1]
    if suffix == "fbx":
        pytest.importorskip("ufbx")
        text, area = make_fbx([(x, y, 0) for x, y in turned], [0, 1, 2, 3, 4, -6]), 3e-4
    elif suffix == "usda":
        pytest.importorskip("pxr")
        text, area = make_usd([(x, y, 0) for x, y in turned], [6], range(6)), 3
    else:
        text = PLY_HEAD.format("").replace("vertex 4", "vertex 6")
        text += "element face 1\nproperty list uchar int vertex_indices\nend_header\n"
        text += "".join(f"{x} {y} 0\n" for x, y in turned) + "6 0 1 2 3 4 5\n"
        area = 3
    assert measure_area(get_mesh(read(tmp_path / f"a.{suffix}", text).surface)) == pytest.approx(
        area, rel=1e-3
    )
