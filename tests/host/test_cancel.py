"""A job ends at the next step after its cancellation, in every stage of the embedded methods."""

import pytest
from character3d.pipeline.conventions import STAGES

LARGE = {
    "image_size": 1024,
    "mesh_input_size": 2048,
    "face_count": 200_000,
    "fingers": True,
    "animation": "all",
    "animated_preview": True,
}


LATE = ("generating_multiview_texture", "texture_baking", "rigging")
"""A job takes long to come so far."""


@pytest.mark.parametrize(
    "stage", [pytest.param(stage, marks=[pytest.mark.nightly] if stage in LATE else []) for stage in STAGES]
)
def test_cancelling_in_each_stage(client, elf, stage):
    final, late = client.cancel_while_in(stage, elf, seed=8, **LARGE)
    assert final["status"] == "failed" and final["cancelled"] and final["failed_stage"] == stage
    done = [entry["name"] for entry in final["stages"] if entry["status"] == "completed"]
    assert tuple(done) == STAGES[: STAGES.index(stage)]
    assert late <= 1
