"""Load Motion, Edit Clips and Save Motion inside this process: files in, clips, files out."""

import importlib
import shutil

import pytest
from character3d.launcher.installation import REPOSITORY
from character3d.pipeline.errors import FormatError
from character3d.pipeline.formats import read_motions
from character3d.tests.humanoids import make_humanoid


@pytest.fixture
def folders(comfyui_modules, tmp_path, monkeypatch):
    """Folders that are ComfyUI's input and output folders for this test; the example lies in the first."""
    for name in ("input", "output"):
        (tmp_path / name).mkdir()
        monkeypatch.setattr(
            importlib.import_module("folder_paths"), f"{name}_directory", str(tmp_path / name)
        )
    shutil.copy(REPOSITORY / "examples" / "dance.bvh", tmp_path / "input")
    return tmp_path


def test_a_motion_is_loaded_edited_and_saved(folders, load_nodes):
    load = load_nodes("load_motion").LoadMotion
    assert load.validate_inputs(motion_file="dance.bvh") is True
    done = load.execute(make_humanoid(), "dance.bvh", root_motion="in place", clip_name="two-step")
    assert done.ui["text"] == ["two-step: 2.0 s"]
    edited = load_nodes("edit_clips").EditClips.execute(done.args[0], "trim", "two-step", start=0.5, end=1.5)
    assert edited.ui["text"] == ["two-step: 1.00 s"]
    save = load_nodes("save_motion").SaveMotion
    for kind in ("bvh", "vrma", "glb", "fbx"):
        path = save.execute(edited.args[0], kind, "", "3D/motion").args[0]
        (motion,) = read_motions(folders / "output" / path).motions
        assert motion.duration == pytest.approx(1.0, abs=0.02), kind


@pytest.mark.parametrize("name", ["../dance.bvh", "none.bvh", "dance.txt", None])
def test_what_is_no_motion_of_the_input_folder_is_refused(folders, load_nodes, name):
    load = load_nodes("load_motion").LoadMotion
    assert "motion" in load.validate_inputs(motion_file=name)
    with pytest.raises(FormatError, match="motion_file"):
        load.execute(make_humanoid(), name)


def test_saving_a_character_without_clips_is_refused(folders, load_nodes):
    with pytest.raises(FormatError, match="no clips"):
        load_nodes("save_motion").SaveMotion.execute(make_humanoid(), "bvh", "", "3D/motion")
