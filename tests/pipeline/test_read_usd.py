"""USD in: units, axes, instances, skins at rest, materials with their textures."""

import numpy as np
import pytest
from character3d.pipeline.errors import FormatError, MeshError
from character3d.pipeline.formats import list_companions, read_mesh
from PIL import Image

TRIANGLE = """
    int[] faceVertexCounts = [3]
    int[] faceVertexIndices = [0, 1, 2]
    point3f[] points = [(0, 0, 0), (1, 0, 0), (0, 0, 2)]
"""
HEAD = '#usda 1.0\n(\n    metersPerUnit = {meters}\n    upAxis = "{up}"\n)\n'


@pytest.fixture(autouse=True, scope="module")
def _usd():
    pytest.importorskip("pxr", reason="usd-core is not installed")


def write_usd(path, body, meters=0.01, up="Z"):
    path.write_text(HEAD.format(meters=meters, up=up) + body)
    return path


def test_the_unit_and_the_axes_become_ours(tmp_path):
    body = f'def Mesh "part" {{\n{TRIANGLE}\n}}'
    loaded = read_mesh(write_usd(tmp_path / "a.usda", body))
    np.testing.assert_allclose(loaded.surface.bounds, [(0, 0, 0), (0.01, 0.02, 0)], atol=1e-9)
    again = read_mesh(write_usd(tmp_path / "b.usda", body, 1, "Y"))
    np.testing.assert_allclose(again.surface.bounds, [(0, 0, 0), (1, 0, 2)])


def test_polygons_colors_and_left_handed_faces(tmp_path):
    body = """def Mesh "part" {
        int[] faceVertexCounts = [4]
        int[] faceVertexIndices = [0, 1, 2, 3]
        point3f[] points = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
        uniform token orientation = "leftHanded"
        color3f[] primvars:displayColor = [(1, 0, 0.5)] (interpolation = "constant")
    }"""
    mesh = read_mesh(write_usd(tmp_path / "a.usda", body, 1, "Y")).surface
    assert len(mesh.faces) == 2 and len(mesh.positions) == 4
    np.testing.assert_allclose(mesh.colors, [(1, 0, 0.5, 1)] * 4)
    corners = mesh.positions[mesh.faces[0]]
    assert np.cross(corners[1] - corners[0], corners[2] - corners[0])[2] < 0


MATERIAL = """
def Material "skin" {
    token outputs:surface.connect = </skin/surface.outputs:surface>
    def Shader "surface" {
        uniform token info:id = "UsdPreviewSurface"
        color3f inputs:diffuseColor.connect = </skin/picture.outputs:rgb>
        float inputs:roughness.connect = </skin/rough.outputs:g>
        float inputs:metallic = 0.25
        token outputs:surface
    }
    def Shader "picture" {
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @./skin.png@
        token inputs:wrapS = "clamp"
        token inputs:wrapT = "repeat"
        float2 inputs:st.connect = </skin/moved.outputs:result>
        float3 outputs:rgb
    }
    def Shader "rough" {
        uniform token info:id = "UsdUVTexture"
        asset inputs:file = @./skin.png@
        token inputs:wrapS = "clamp"
        token inputs:wrapT = "repeat"
        float2 inputs:st.connect = </skin/moved.outputs:result>
        float outputs:g
    }
    def Shader "moved" {
        uniform token info:id = "UsdTransform2d"
        float2 inputs:scale = (0.5, 0.5)
        float2 inputs:translation = (0.25, 0.5)
        float2 inputs:in.connect = </skin/reader.outputs:result>
        float2 outputs:result
    }
    def Shader "reader" {
        uniform token info:id = "UsdPrimvarReader_float2"
        string inputs:varname = "map1"
        float2 outputs:result
    }
}
"""


def write_textured(folder):
    pixels = np.zeros((4, 4, 3), np.uint8)
    pixels[:2], pixels[2:] = (200, 30, 30), (30, 60, 200)
    Image.fromarray(pixels).save(folder / "skin.png")
    body = f"""{MATERIAL}
    def Mesh "part" (prepend apiSchemas = ["MaterialBindingAPI"]) {{
        {TRIANGLE}
        rel material:binding = </skin>
        texCoord2f[] primvars:map1 = [(0, 0), (0, 0.9), (0.9, 0.9)] (interpolation = "faceVarying")
    }}"""
    return write_usd(folder / "a.usda", body, 1, "Y")


def check_textured(loaded):
    material = loaded.surface.material
    assert material.name == "skin" and material.wrap == ("CLAMP", "REPEAT") and not loaded.warnings
    np.testing.assert_allclose(material.base_color[0, 0, :3] * 255, (200, 30, 30), atol=0.01)
    np.testing.assert_array_equal(material.maps["metallic_roughness"][0, 0, 1:], (30, 64))
    np.testing.assert_allclose(
        sorted(loaded.surface.mesh.uvs.tolist()), [(0.25, 0.05), (0.25, 0.5), (0.7, 0.05)], atol=1e-6
    )


def test_a_preview_surface_keeps_its_textures(tmp_path):
    check_textured(read_mesh(write_textured(tmp_path)))


def test_a_usdz_holds_its_textures(tmp_path):
    from pxr import UsdUtils

    (tmp_path / "source").mkdir()
    path = write_textured(tmp_path / "source")
    assert UsdUtils.CreateNewUsdzPackage(str(path), str(tmp_path / "a.usdz"))
    (tmp_path / "source" / "skin.png").unlink()
    check_textured(read_mesh(tmp_path / "a.usdz"))


def test_a_texture_that_is_missing_is_named(tmp_path):
    path = write_textured(tmp_path)
    (tmp_path / "skin.png").unlink()
    assert read_mesh(path).warnings == (
        "a.usda: the texture './skin.png' is left out: it is neither in the file nor beside it",
    )


def test_instances_stand_where_the_stage_has_them_and_hidden_ones_are_named(tmp_path):
    body = f"""
    def PointInstancer "many" {{
        point3f[] positions = [(10, 0, 0), (20, 0, 0)]
        int[] protoIndices = [0, 0]
        rel prototypes = </kept/one>
    }}
    over "kept" {{
        def Mesh "one" {{ {TRIANGLE} }}
    }}
    def Mesh "unseen" {{
        {TRIANGLE}
        token visibility = "invisible"
    }}
    def Sphere "round" {{}}
    """
    loaded = read_mesh(write_usd(tmp_path / "a.usda", body, 1, "Y"))
    np.testing.assert_allclose(loaded.surface.bounds, [(10, 0, 0), (21, 0, 2)])
    assert len(loaded.surface.faces) == 2
    assert loaded.warnings == (
        "a.usda: a Sphere is left out: it is no mesh",
        "a.usda: hidden objects are left out: unseen",
    )


def test_a_skin_is_posed_as_its_skeleton_rests(tmp_path):
    lifted = "((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 5, 0, 1))"
    still = "((1, 0, 0, 0), (0, 1, 0, 0), (0, 0, 1, 0), (0, 0, 0, 1))"
    body = f"""
    def SkelRoot "figure" {{
        def Skeleton "bones" (prepend apiSchemas = ["SkelBindingAPI"]) {{
            uniform token[] joints = ["root", "root/tip"]
            uniform matrix4d[] bindTransforms = [{still}, {still}]
            uniform matrix4d[] restTransforms = [{still}, {lifted}]
        }}
        def Mesh "part" (prepend apiSchemas = ["SkelBindingAPI"]) {{
            {TRIANGLE}
            rel skel:skeleton = </figure/bones>
            int[] primvars:skel:jointIndices = [0, 0, 1] (interpolation = "vertex"; elementSize = 1)
            float[] primvars:skel:jointWeights = [1, 1, 1] (interpolation = "vertex"; elementSize = 1)
        }}
    }}"""
    mesh = read_mesh(write_usd(tmp_path / "a.usda", body, 1, "Y")).surface
    np.testing.assert_allclose(sorted(mesh.positions.tolist()), [(0, 0, 0), (0, 5, 2), (1, 0, 0)])


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("def Mesh {", "is damaged: it cannot be opened as USD"),
        (
            f'def Mesh "a" {{{TRIANGLE.replace("1, 2]", "1, 9]")}}}',
            "is damaged: its faces name vertex 9 of 3",
        ),
        ('def Xform "a" (references = @../other.usda@) {}', "no triangles: what it takes from 'other.usda'"),
        ('def Sphere "round" {}', "no triangles: a Sphere is left out"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path, body, words):
    with pytest.raises((FormatError, MeshError), match=f"a.usda .*{words}"):
        read_mesh(write_usd(tmp_path / "a.usda", body))


def test_a_layer_outside_the_folder_is_refused(tmp_path):
    (tmp_path / "inner").mkdir()
    write_usd(tmp_path / "other.usda", f'def Mesh "part" {{\n{TRIANGLE}\n}}')
    path = write_usd(tmp_path / "inner" / "a.usda", 'def Xform "a" (references = @../other.usda@</part>) {}')
    with pytest.raises(FormatError, match="not below its own folder"):
        read_mesh(path)


def test_what_a_text_file_names_is_watched(tmp_path):
    path = write_textured(tmp_path)
    assert list_companions(path) == [tmp_path / "skin.png"]
