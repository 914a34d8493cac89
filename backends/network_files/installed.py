"""Published networks in ComfyUI's model folders: finding, loading and running them."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import comfy.model_management
import numpy as np
import torch

from ...pipeline.device import CPU
from ...pipeline.errors import WeightsError
from ...pipeline.types import FloatArray
from ...pipeline.weights import describe_models
from ..model_memory import make_patcher, share_loaded
from ..weight_files import WeightsFile, find_file, list_files
from .graph import Graph, Network, Shape, build_network


@dataclass(frozen=True)
class PublishedNetwork:
    """A network of the catalogue, and what its file has to hold.

    folder: of ComfyUI's models. picture: shape of its input. outputs: shapes of those
    wanted. catalogue: the list that it stands in; the pack's install.py fetches `figure_models`.
    """

    file: str
    folder: str
    read: Callable[[Path, str], Graph]
    picture: Shape
    outputs: tuple[Shape, ...]
    catalogue: str = "figure_models"

    def is_installed(self) -> bool:
        """Whether the file is on disk."""
        return self.file in list_files([self.folder])

    def find_file(self) -> WeightsFile:
        """Find the file. WeightsError if it is missing; the message quotes the catalogue."""
        if not self.is_installed():
            how = "The pack's install.py fetches it" if self.catalogue == "figure_models" else "Put it there"
            raise WeightsError(
                f"{self.file} is not in models/{self.folder}. {how}:\n{describe_models(self.catalogue)}"
            )
        return find_file([self.folder], self.file)

    def load(self) -> Any:
        """Load the network, or return it if it is still in memory: a ModelPatcher of Network in float32.

        WeightsError if its file is missing, damaged or another network's; says what was found and expected.
        """
        return _load(self, self.find_file())

    def read_network(self) -> Network:
        """Read the network for use on the CPU beside ComfyUI's queue, and keep it.

        Those that install.py fetches have 11 MB in all. WeightsError as in load.
        """
        return _keep(self, self.find_file())


@share_loaded
def _load(network: PublishedNetwork, file: WeightsFile) -> Any:
    return make_patcher(_read(network, file))


@functools.lru_cache(maxsize=3)
def _keep(network: PublishedNetwork, file: WeightsFile) -> Network:
    return _read(network, file)


def _read(network: PublishedNetwork, file: WeightsFile) -> Network:
    try:
        graph = network.read(file.path, file.name)
    except OSError as error:
        raise WeightsError(f"{file.name} cannot be read: {error}") from error
    return build_network(graph, network.picture, network.outputs)


def run_network(model: Any, picture: FloatArray, memory: int) -> list[FloatArray]:
    """Return the outputs of a network for one input.

    model: a Network, which runs on the CPU, or a ModelPatcher of one: then ComfyUI makes room for it and
    moves it to its device. memory: bytes that a run takes besides the weights.
    """
    network, device = model, CPU
    if not isinstance(model, Network):
        comfy.model_management.load_models_gpu([model], memory_required=memory)
        network, device = model.model, model.load_device
    with torch.inference_mode():
        outputs = network(torch.from_numpy(np.ascontiguousarray(picture)).to(device))
    return [output.float().cpu().numpy() for output in outputs]
