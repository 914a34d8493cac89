"""benchmarks/files.py loads, rigs and saves what lies in a folder, and compares it with truth.json."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

REPOSITORY = Path(__file__).resolve().parents[2]


@pytest.mark.nightly
def test_files_of_a_folder_are_read_refused_and_compared(tmp_path):
    shutil.copy(REPOSITORY / "tests" / "files" / "z_up.obj", tmp_path)
    shutil.copy(tmp_path / "z_up.obj", tmp_path / "other.obj")
    (tmp_path / "empty.glb").touch()
    truths = {"z_up.obj": {"height": 1.704}, "other.obj": {"height": 3.0}, "empty.glb": {"refused": True}}
    (tmp_path / "truth.json").write_text(json.dumps(truths), encoding="utf-8")
    script, comfyui = REPOSITORY / "benchmarks" / "files.py", os.environ["CHARACTER3D_COMFYUI"]
    command = [sys.executable, "-P", script, tmp_path, "--comfyui", comfyui]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "files 3 read 2 refused 1 wrong 1 crashed 0", done.stderr
    assert done.returncode == 1
