"""The unit of a figure's lengths, judged by how tall people are."""

from __future__ import annotations

from ..conventions import CHARACTER_HEIGHT

HEIGHTS = (0.4, 3.0)
"""Metres. A figure of any such height is taken to be in metres."""
_PEOPLE = (1.2, 2.3)
"""Metres. Another unit is believed if it makes the figure that tall."""
_UNITS = {"millimetres": 0.001, "centimetres": 0.01, "inches": 0.0254, "decimetres": 0.1, "feet": 0.3048}


def find_scale(height: float, wanted: float = 0.0) -> tuple[float, str]:
    """Return the factor that brings a figure of `height` to metres, and why; 1 and "" if it is in metres.

    wanted: metres, the height that it shall have; 0 for whatever its unit makes it.
    """
    if wanted > 0:
        factor = wanted / height
        why = f"scaled from a height of {height:.4g} to {wanted:.4g} m, as height_meters asks"
        return (factor, why) if abs(factor - 1) > 1e-6 else (1.0, "")
    if HEIGHTS[0] <= height <= HEIGHTS[1]:
        return 1.0, ""
    for unit, factor in _UNITS.items():
        if _PEOPLE[0] <= height * factor <= _PEOPLE[1]:
            return factor, f"{height:.4g} high, so its unit was taken to be {unit}: {height * factor:.4g} m"
    return CHARACTER_HEIGHT / height, (
        f"{height:.4g} high, which is no person's height in any usual unit; it was scaled to "
        f"{CHARACTER_HEIGHT} m. Set height_meters to its true height"
    )


def name_unit(scale: float) -> str:
    """The unit whose lengths are multiplied by `scale` to get metres; "unknown" if that is no unit's."""
    units = {"metres": 1.0, **_UNITS}
    return next((unit for unit, factor in units.items() if abs(scale - factor) < 1e-9), "unknown")
