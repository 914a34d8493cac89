"""Which way a figure is turned, by its trunk and its feet."""

from __future__ import annotations

import numpy as np

from ..figure import Figure

_YAW, _TOES = 40.0, 0.08
"""Degrees that the trunk is turned, and how far both feet point aside as a share of the height, which count
alike."""


def measure_turn(figure: Figure) -> float:
    """How far trunk and feet point aside, in no unit: negative where the left side is seen, 1 is sure."""
    toes = sum(figure[f"{side}_toe"][0] - figure[f"{side}_ankle"][0] for side in ("left", "right"))
    height = figure.box[3] - figure.box[1]
    yaw = float(np.degrees(np.arcsin(np.sin(np.radians(figure.yaw)))))  # of a back as of a front
    return yaw / _YAW + float(toes) / height / _TOES
