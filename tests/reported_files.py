"""Model files written by hand, and what is seen of them, for the tests of reported files."""

import numpy as np
from character3d.pipeline.color import linear_to_srgb
from character3d.pipeline.formats import read_mesh
from PIL import Image

SQUARE = [(0, 0, 0), (1, 0, 0), (1, 1, 0), (0, 1, 0)]
L_SHAPE = [(0, 0), (2, 0), (2, 2), (1, 2), (1, 1), (0, 1)]
"""A polygon with an inner corner; its area is 3."""


def save_picture(path, left=(200, 30, 30), right=(30, 60, 200)):
    texels = np.zeros((8, 8, 3), np.uint8)
    texels[:, :4], texels[:, 4:] = left, right
    Image.fromarray(texels).save(path)


def get_mesh(surface):
    return getattr(surface, "mesh", surface)


def measure_area(mesh):
    one, two, three = (mesh.positions[mesh.faces[:, corner]] for corner in range(3))
    return float(np.linalg.norm(np.cross(two - one, three - one), axis=1).sum() / 2)


def list_colors(surface):
    """(F, 3) sRGB 0..255 in the middle of each face, texture and vertex colors multiplied."""
    mesh = get_mesh(surface)
    vertex = np.ones((len(mesh.positions), 3)) if mesh.colors is None else mesh.colors[:, :3]
    if mesh is surface:
        return linear_to_srgb(vertex[mesh.faces].mean(axis=1)) * 255
    found = np.zeros((len(mesh.faces), 3))
    middle = surface.uvs[mesh.faces].mean(axis=1)
    for number, material in enumerate(surface.materials):
        own = surface.face_materials == number
        found[own] = material.sample(middle[own])[:, :3] * 255
    return found


def read(path, data):
    path.write_bytes(data if isinstance(data, bytes) else data.encode())
    return read_mesh(path)


PLY_HEAD = "ply\nformat ascii 1.0\n{}element vertex 4\nproperty float x\nproperty float y\nproperty float z\n"


def make_fbx(points, corners, settings="", model="", extra="", geometry="", connections=""):
    flat = ",".join(str(value) for point in points for value in point)
    listed = ",".join(map(str, corners))
    return f"""; FBX 7.4.0 project file
FBXHeaderExtension:  {{
	FBXVersion: 7400
}}
GlobalSettings:  {{
	Properties70:  {{
		P: "UpAxis", "int", "Integer", "",1
		P: "UpAxisSign", "int", "Integer", "",1
		P: "FrontAxis", "int", "Integer", "",2
		P: "FrontAxisSign", "int", "Integer", "",1
		P: "CoordAxis", "int", "Integer", "",0
		P: "CoordAxisSign", "int", "Integer", "",1
		{settings or 'P: "UnitScaleFactor", "double", "Number", "",1'}
	}}
}}
Objects:  {{
	Geometry: 1, "Geometry::", "Mesh" {{
		Vertices: *{3 * len(points)} {{
			a: {flat}
		}}
		PolygonVertexIndex: *{len(corners)} {{
			a: {listed}
		}}
		{geometry}
	}}
	Model: 2, "Model::Body", "Mesh" {{
		Properties70:  {{
			{model}
		}}
	}}
	{extra}
}}
Connections:  {{
	C: "OO",1,2
	C: "OO",2,0
	{connections}
}}
"""


def make_usd(points, counts, corners, mesh="", outside=""):
    return f"""#usda 1.0
(
    metersPerUnit = 1
    upAxis = "Y"
)
def Xform "root"
{{
    double3 xformOp:translate = (5, 0, 0)
    uniform token[] xformOpOrder = ["xformOp:translate"]
    def Mesh "body"
    {{
        int[] faceVertexCounts = {list(counts)}
        int[] faceVertexIndices = {list(corners)}
        point3f[] points = [{", ".join(str(tuple(map(float, point))) for point in points)}]
        {mesh}
    }}
}}
{outside}
"""
