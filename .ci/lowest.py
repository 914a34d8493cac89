"""Run tests with the lowest versions that requirements.txt allows; CI does so every night.

    python3 .ci/lowest.py [ARGS]     ARGS go to pytest; without them: tests/pipeline tests/nodes tests/server

The lowest versions go into a virtual environment of their own. torch, ComfyUI's requirements and the test
tools come from the environment of quickstart.py, which a .pth file puts behind it. All of the lowest
versions must have wheels for Python 3.11.
"""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
TESTS = ("tests/pipeline", "tests/nodes", "tests/server")
ASK_FOR_PACKAGES = "import sysconfig; print(sysconfig.get_path('purelib'))"
ASK_FOR_VERSION = "import importlib.metadata as m, sys; print(m.version(sys.argv[1]))"

sys.path.insert(0, str(REPOSITORY))
from launcher.environment import find_cache_folder, prepare_tests  # noqa: E402


def ask(python: Path, *arguments: str) -> str:
    """What a Python prints."""
    return subprocess.run(
        [python, "-c", *arguments], check=True, capture_output=True, text=True
    ).stdout.strip()


def prepare_lowest(behind: Path) -> Path:
    """Make the virtual environment and return its Python; `behind` is quickstart's Python."""
    folder = find_cache_folder() / "lowest"
    venv.create(folder, clear=True, with_pip=True)
    python = folder / "bin" / "python"
    subprocess.run([python, "-m", "pip", "install", "--quiet", "uv"], check=True)
    lowest = ("--resolution", "lowest-direct", "--only-binary", ":all:", "--requirement", "requirements.txt")
    subprocess.run(
        [python, "-m", "uv", "pip", "install", "--python", python, *lowest], check=True, cwd=REPOSITORY
    )
    own_packages = Path(ask(python, ASK_FOR_PACKAGES))
    (own_packages / "quickstart.pth").write_text(ask(behind, ASK_FOR_PACKAGES) + "\n", encoding="utf-8")
    return python


def check_versions(python: Path) -> None:
    """End with an error if a version is not the lowest: another requirement asks for more than ours says."""
    for line in (REPOSITORY / "requirements.txt").read_text(encoding="utf-8").split():
        name, lowest = line.split(">=")
        found = ask(python, ASK_FOR_VERSION, name)
        if found.split(".")[: len(lowest.split("."))] != lowest.split("."):
            sys.exit(f"{line}: the lowest version that can be installed with the others is {found}")


def main(arguments: list[str]) -> int:
    """Set up, check the versions and run pytest; return its exit status."""
    behind, own_variables = prepare_tests(nightly=False)
    python = prepare_lowest(behind)
    check_versions(python)
    variables = {**os.environ, **own_variables}
    command = [python, "-P", "-m", "pytest", *(arguments or TESTS)]
    return subprocess.run(command, cwd=REPOSITORY, env=variables).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
