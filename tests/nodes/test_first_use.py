"""Packages that are imported at first use: their modules are sound, and threads may come at once."""

import importlib
import subprocess
import sys

import pytest
from character3d.pipeline.first_use import import_at_first_use

from ..test_architecture import MODULES, REPOSITORY


@pytest.mark.parametrize("package", ["backends", "nodes"])
def test_every_module_imports(comfyui_modules, package):
    for name, _ in MODULES:
        if name.startswith(f"{package}."):
            importlib.import_module(f"character3d.{name.removesuffix('.__init__')}")


def test_what_is_not_there_is_an_attribute_error(comfyui_modules):
    find = import_at_first_use("character3d.pipeline")
    with pytest.raises(AttributeError, match=r"module 'character3d\.pipeline' has no attribute 'rigs'"):
        find("rigs")
    with pytest.raises(AttributeError, match="no_such_name"):
        _ = find("motion").no_such_name


USED_AT_ONCE = """
import sys, threading
sys.path.insert(0, {tests!r})
sys.setswitchinterval(1e-5)
import conftest
from character3d.pipeline import formats, mesh_generation, motion, orientation, quality, rigging

uses = [
    lambda: (formats.read_mesh, formats.encode_glb), lambda: (rigging.fit_skeleton, formats.write_glb),
    lambda: motion.add_motions, lambda: orientation.place_mesh, lambda: quality.report_quality,
    lambda: mesh_generation.inflate_silhouette,
]
assert not [name for name in sys.modules if name.startswith(("character3d.pipeline.formats", "numpy"))]
faults, together = [], threading.Barrier(4 * len(uses))

def run(use):
    together.wait()
    try:
        use()
    except BaseException as fault:
        faults.append(repr(fault))

threads = [threading.Thread(target=run, args=(use,)) for use in (uses + uses[::-1]) * 2]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join(60)
assert not faults and not any(thread.is_alive() for thread in threads), faults
"""


@pytest.mark.nightly
def test_threads_may_use_packages_for_the_first_time_at_once():
    script = USED_AT_ONCE.format(tests=str(REPOSITORY / "tests"))
    done = subprocess.run([sys.executable, "-P", "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
