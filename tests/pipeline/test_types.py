import numpy as np
import pytest
from character3d.pipeline.types import Mesh


def test_arrays_are_cast_copied_and_read_only():
    positions = np.zeros((3, 3), dtype=np.float64)
    mesh = Mesh(positions, [[0, 1, 2]])
    positions[0] = 7
    assert mesh.positions.dtype == np.float32
    assert mesh.positions.max() == 0
    with pytest.raises(ValueError, match="read-only"):
        mesh.positions[0] = 1


def test_wrong_shape_names_field_found_and_expected():
    with pytest.raises(ValueError, match=r"Mesh\.uvs: expected shape \(3, 2\), got \(2, 2\)"):
        Mesh(np.zeros((3, 3)), [[0, 1, 2]], uvs=np.zeros((2, 2)))
