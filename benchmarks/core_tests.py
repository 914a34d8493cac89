"""ComfyUI's own tests without the pack and with it: every test must end with it as it ends without it.

    python benchmarks/core_tests.py

Sets up ComfyUI like `quickstart.py test`, and works in two copies of it. Takes seven minutes. The plugin that
its tests need for pytest goes into a temporary folder: beside the plugins of our own tests it would clash.

tests/execution starts servers and speaks HTTP and WebSocket to them: the pack must be loaded in each.
tests-unit imports ComfyUI's modules without a server and shows only that the pack's presence does not matter.
tests/inference and tests/compare need model files and are left out. Let the machine do nothing else: a server
that takes more than 20 seconds to start fails all the tests of its class.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path
from xml.etree import ElementTree

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from launcher.environment import prepare_test_comfyui
from launcher.installation import Installation, link_pack
from launcher.server import find_free_port

PLUGIN = "pytest-aiohttp==1.1.1"
SUITES = ["tests-unit", "tests/execution"]
LOADED, STARTED = "{id}/status, WS", "Starting server"
"""What a server writes where the pack has hung its routes onto it, and what every server writes."""


def read_outcomes(report: Path) -> dict[str, str]:
    """Test id -> passed, failed, error or skipped, from a JUnit report."""
    outcomes = {}
    for case in ElementTree.parse(report).iter("testcase"):
        ends = [part.tag for part in case if part.tag in ("failure", "error", "skipped")]
        outcomes[f"{case.get('classname')}::{case.get('name')}"] = ends[0] if ends else "passed"
    return outcomes


def run_suite(python: Path, tree: Path, suite: str, plugins: Path) -> tuple[dict[str, str], str]:
    """(outcomes, log) of a suite in a copy of ComfyUI."""
    report, sink = tree / "report.xml", tree / "report.log"
    command = [str(python), "-m", "pytest", "-q", suite, f"--junitxml={report}"]
    if suite == "tests/execution":
        command += ["--port", str(find_free_port()), "--output_dir", str(tree / "output")]
    environment = {**os.environ, "OMP_WAIT_POLICY": "passive"}
    for name, folder in (("PATH", python.parent), ("PYTHONPATH", plugins)):
        environment[name] = os.pathsep.join([str(folder), environment.get(name, "")])
    with sink.open("wb") as stream:
        subprocess.run(command, cwd=tree, env=environment, stdout=stream, stderr=stream)
    return read_outcomes(report), sink.read_text(encoding="utf-8", errors="replace")


def compare_suite(python: Path, suite: str, trees: tuple[Path, Path], plugins: Path) -> bool:
    """Run a suite without the pack and with it, say what came out; True where that was the same."""
    (without, _), (beside, log) = (run_suite(python, tree, suite, plugins) for tree in trees)
    servers, loaded = log.count(STARTED), log.count(LOADED)
    print(f"{suite}: without {dict(Counter(without.values()))}, with {dict(Counter(beside.values()))}")
    print(f"  the pack was loaded in {loaded} of {servers} servers")
    changed = [test for test in sorted({*without, *beside}) if without.get(test) != beside.get(test)]
    for test in changed:
        print(f"  {test}: {without.get(test)} without, {beside.get(test)} with")
    for test in sorted(test for test, end in without.items() if end not in ("passed", "skipped")):
        print(f"  without the pack, too: {without[test]} {test}")
    return bool(without) and not changed and loaded == servers


def compare(installation: Installation, folder: Path) -> bool:
    """Run every suite in two copies below a folder, the pack linked into the second."""
    trees = (folder / "without", folder / "with")
    for tree in trees:
        shutil.copytree(installation.comfyui, tree, ignore=shutil.ignore_patterns("__pycache__"))
    link_pack(trees[1] / "custom_nodes")
    install = ["-m", "pip", "install", "-q", "--no-deps", "--target", str(folder / "plugins"), PLUGIN]
    subprocess.run([installation.python, *install], check=True)
    same = [compare_suite(installation.python, suite, trees, folder / "plugins") for suite in SUITES]
    return all(same)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as scratch:
        raise SystemExit(not compare(prepare_test_comfyui(), Path(scratch)))
