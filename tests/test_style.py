"""The linter, the formatter and the type checker, over the whole repository; the groups of tests."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from character3d.launcher.environment import find_cache_folder

REPOSITORY = Path(__file__).resolve().parent.parent
TYPED = ("nodes", "server_routes", "cluster", "pipeline", "backends", "launcher", "client")


def run_tool(*arguments, folder=REPOSITORY):
    command = [sys.executable, "-m", *map(str, arguments)]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize(
    "check", [("check", "--output-format=concise"), ("format", "--check")], ids=lambda c: c[0]
)
def test_ruff(check):
    done = run_tool("ruff", *check, ".")
    assert done.returncode == 0, done.stdout + done.stderr


def test_mypy(tmp_path):
    """The pack is checked as the package `character3d`, which is not the name of its folder.

    What mypy knows of each file, torch's among them, is kept by the file's hash for the next run.
    """
    (tmp_path / "character3d").symlink_to(REPOSITORY, target_is_directory=True)
    cache = find_cache_folder() / "mypy"
    config = ("--config-file", REPOSITORY / "pyproject.toml", "--cache-dir", cache)
    done = run_tool("mypy", "--verbose", *config, "-p", "character3d", folder=tmp_path)
    assert done.returncode == 0, done.stdout
    seen = set(re.findall(r"character3d/([\w/]+\.py)", done.stderr))
    modules = {
        path.relative_to(REPOSITORY).as_posix()
        for name in TYPED
        for path in (REPOSITORY / name).rglob("*.py")
    }
    assert modules and modules <= seen


@pytest.mark.skipif("PYTEST_XDIST_WORKER" not in os.environ, reason="no workers")
def test_workers_get_whole_groups(request):
    """pytest-xdist reads a test's group from its name; without groups each worker starts every server."""
    assert request.node.nodeid.endswith("@tests/test_style.py")
