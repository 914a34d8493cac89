"""Points of BlazePose that lie on other parts than the picture shows there are not believed."""

import numpy as np
import pytest
from character3d.pipeline.preprocessing.read_figure import read_figure
from character3d.pipeline.types import FramedPicture

from .test_pose_hints import SIDE, make_mask, make_pose

ON_ARMS = {"p25": (295, 170), "p26": (105, 170), "p27": (295, 215), "p28": (105, 215)}
ON_HEAD = {"p15": (215, 80), "p16": (185, 80)}


@pytest.mark.parametrize(
    ("moved", "source"),
    [({}, "blazepose"), (ON_HEAD, "blazepose"), ({**ON_ARMS, **ON_HEAD}, "outline")],
    ids=["right", "hands at the head", "legs on arms"],
)
def test_points_on_other_parts_are_not_believed(moved, source):
    alpha = make_mask().astype(np.float32)
    picture = FramedPicture(np.dstack([np.full((SIDE, SIDE, 3), 0.5, np.float32), alpha]))
    assert read_figure(picture, make_pose(**moved)).source == source
