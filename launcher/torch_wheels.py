"""Which build of torch suits this machine: for its GPU, or the small one for processors alone."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
import urllib.request
from dataclasses import dataclass
from pathlib import Path

WHEELS = "https://download.pytorch.org/whl/"
KFD = Path("/dev/kfd")
"""Through it AMD's driver computes; there is none on other machines."""


@dataclass(frozen=True)
class TorchWheels:
    """A build of torch. machine: what it is for, in words. index: of its wheels; empty: the package registry.

    pinned: whether the version that the pack is tested with is wanted. Builds for GPUs are taken as ComfyUI's
    own instructions have it, in the newest version that the index has: not each has every version.
    """

    machine: str
    index: str = ""
    pinned: bool = True

    @property
    def name(self) -> str:
        """The last part of the index's address; `registry` where there is none."""
        return self.index.rpartition("/")[2] or "registry"

    def is_reachable(self) -> bool:
        """Whether the index answers."""
        try:
            urllib.request.urlopen(f"{self.index}/torch/", timeout=10).close()
        except OSError:
            return False
        return True


TESTED = TorchWheels("tests: the package registry's build")
"""What the tests run on, whatever the machine."""


def find_torch_wheels() -> TorchWheels:
    """The build for this machine's GPU: NVIDIA's, AMD's (on Linux) or Apple's; else for its processor."""
    if sys.platform == "darwin":
        gpu = "Apple GPU (Metal)" if platform.machine() == "arm64" else "no GPU that torch supports"
        return TorchWheels(gpu)
    if name := find_nvidia_gpu():
        return TorchWheels(f"NVIDIA GPU ({name})", f"{WHEELS}cu130", pinned=False)
    if KFD.exists():
        return TorchWheels("AMD GPU (ROCm)", f"{WHEELS}rocm7.2", pinned=False)
    return TorchWheels("no GPU: the small build for processors", f"{WHEELS}cpu")


def find_nvidia_gpu() -> str:
    """The name of the first NVIDIA GPU whose driver works; empty if there is none."""
    if not (tool := shutil.which("nvidia-smi")):
        return ""
    ask = [tool, "--query-gpu=name", "--format=csv,noheader"]
    answer = subprocess.run(ask, capture_output=True, text=True)
    return "" if answer.returncode else answer.stdout.partition("\n")[0].strip()
