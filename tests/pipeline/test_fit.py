"""What the fitting accepts and refuses: damaged, dressed and loose bodies against furniture and animals."""

import numpy as np
import pytest
from character3d.pipeline.errors import RigError
from character3d.pipeline.rig import fit_skeleton
from character3d.pipeline.types import Mesh

from .figures import join_parts, make_box, make_capsule


def make_ball():
    return join_parts([make_capsule((0, 0.84, 0), (0, 0.86, 0), 0.84)])


def make_chair():
    legs = [make_box((x, 0, z), (x + 0.06, 0.45, z + 0.06)) for x in (-0.22, 0.16) for z in (-0.22, 0.16)]
    seat, back = (
        make_box((-0.22, 0.44, -0.22), (0.22, 0.5, 0.22)),
        make_box((-0.22, 0.49, -0.22), (0.22, 1.0, -0.17)),
    )
    return join_parts([*legs, seat, back])


def make_table():
    legs = [make_box((x, 0, z), (x + 0.07, 0.71, z + 0.07)) for x in (-0.6, 0.53) for z in (-0.4, 0.33)]
    return join_parts([*legs, make_box((-0.65, 0.7, -0.45), (0.65, 0.75, 0.45))])


def make_house():
    """Walls, a saddle roof and a chimney."""
    roof = np.array(
        [(-2.2, 2.5, -2.2), (2.2, 2.5, -2.2), (-2.2, 2.5, 2.2), (2.2, 2.5, 2.2), (0, 4, -2.2), (0, 4, 2.2)]
    )
    faces = np.array([(0, 1, 3), (0, 3, 2), (0, 4, 1), (2, 3, 5), (0, 2, 5), (0, 5, 4), (1, 4, 5), (1, 5, 3)])
    corners = roof[faces]
    volume = np.einsum("ij,ij->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    walls, chimney = make_box((-2, 0, -2), (2, 2.6, 2)), make_box((0.8, 3, -0.3), (1.3, 4.6, 0.3))
    return join_parts([walls, (roof, faces if volume > 0 else faces[:, ::-1]), chimney])


def make_car():
    wheels = [
        make_capsule((x - 0.1, 0.32, z), (x + 0.1, 0.32, z), 0.3) for x in (-0.75, 0.75) for z in (-1.3, 1.3)
    ]
    return join_parts(
        [
            make_box((-0.85, 0.3, -2.1), (0.85, 0.9, 2.1)),
            make_box((-0.7, 0.85, -1.1), (0.7, 1.45, 0.9)),
            *wheels,
        ]
    )


def make_dog():
    """Stands along z, its head in front."""
    legs = [make_capsule((x, 0.06, z), (x, 0.5, z), 0.06) for x in (-0.13, 0.13) for z in (-0.4, 0.4)]
    return join_parts(
        [
            *legs,
            make_capsule((0, 0.55, -0.4), (0, 0.58, 0.4), 0.18),
            make_capsule((0, 0.62, 0.45), (0, 0.85, 0.62), 0.09),
            make_capsule((0, 0.88, 0.6), (0, 0.86, 0.8), 0.11),
            make_capsule((0, 0.65, -0.5), (0, 0.85, -0.8), 0.03),
        ]
    )


def make_dog_aside():
    dog = make_dog()
    return Mesh(dog.positions[:, [2, 1, 0]] * (1, 1, -1), dog.faces)


def make_bottle():
    return join_parts(
        [make_capsule((0, 0.3, 0), (0, 1.0, 0), 0.3), make_capsule((0, 1.2, 0), (0, 1.7, 0), 0.09)]
    )


def make_tree():
    return join_parts(
        [make_capsule((0, 0.1, 0), (0, 1.2, 0), 0.12), make_capsule((0, 1.6, 0), (0, 1.9, 0), 0.6)]
    )


REFUSED = {
    "ball": make_ball,
    "box": lambda: join_parts([make_box((-0.4, 0, -0.4), (0.4, 1.7, 0.4))]),
    "chair": make_chair,
    "table": make_table,
    "house": make_house,
    "car": make_car,
    "dog": make_dog,
    "dog seen from the side": make_dog_aside,
    "bottle": make_bottle,
    "tree": make_tree,
}


@pytest.mark.parametrize("make", REFUSED.values(), ids=REFUSED)
def test_no_humanoid_is_refused_with_measurements(make):
    with pytest.raises(RigError, match=r"no standing humanoid.*\d"):
        fit_skeleton(make())
