"""Which points a closed surface encloses."""

import numpy as np
import pytest
import trimesh
from character3d.pipeline.mesh.inside import are_inside


@pytest.mark.parametrize("is_inward", [False, True])
def test_points_of_a_ring_are_inside_and_those_of_its_hole_are_not(is_inward):
    ring = trimesh.creation.torus(1.0, 0.3)
    triangles = ring.triangles[:, ::-1] if is_inward else ring.triangles
    points = np.random.default_rng(0).uniform(-1.4, 1.4, (400, 3))
    away = np.hypot(np.hypot(points[:, 0], points[:, 1]) - 1.0, points[:, 2])
    clear = np.abs(away - 0.3) > 0.02
    assert (are_inside(points, triangles) == (away < 0.3))[clear].all()
    assert are_inside(np.zeros((0, 3)), triangles).shape == (0,)
