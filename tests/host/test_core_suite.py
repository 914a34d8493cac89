"""ComfyUI's own tests of its server pass with the pack in it; all of them in benchmarks/core_tests.py."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from character3d.launcher.installation import link_pack
from character3d.launcher.server import find_free_port


def test_comfyuis_execution_tests_pass_with_the_pack(comfyui_folder, tmp_path):
    tree = tmp_path / "ComfyUI"
    shutil.copytree(comfyui_folder, tree, ignore=shutil.ignore_patterns("__pycache__"))
    link_pack(tree / "custom_nodes")
    command = [sys.executable, "-m", "pytest", "-q", "tests/execution/test_execution.py", "-k", "server0"]
    command += [
        "--port",
        str(find_free_port()),
        "--output_dir",
        str(tmp_path / "output"),
        "--skip-timing-checks",
    ]
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    run = subprocess.run(
        command, cwd=tree, env={**os.environ, "PATH": path}, capture_output=True, text=True, encoding="utf-8"
    )
    log = run.stdout + run.stderr
    assert run.returncode == 0, run.stdout[-4000:]
    assert log.count("Starting server") == log.count("{id}/status, WS") == 1
