"""Authors and license of a VRM model (VRM 1.0, specification/VRMC_vrm-1.0/meta.md)."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from .errors import FormatError
from .types import FloatArray

LICENSE_URL = "https://vrm.dev/licenses/1.0/"
"""The only license of VRM 1.0; the fields below are its options."""

ALLOWED_VALUES = {
    "avatar_permission": ("onlyAuthor", "onlySeparatelyLicensedPerson", "everyone"),
    "commercial_usage": ("personalNonProfit", "personalProfit", "corporation"),
    "credit_notation": ("required", "unnecessary"),
    "modification": ("prohibited", "allowModification", "allowModificationRedistribution"),
}


@dataclass(frozen=True, eq=False)
class VrmMeta:
    """Name, authors and permissions of a model; by default nothing is permitted.

    thumbnail: (S, S, 4) sRGB 0..1, or None. Raises FormatError for values that VRM does not allow.
    """

    name: str
    authors: tuple[str, ...]
    version: str = ""
    copyright_information: str = ""
    contact_information: str = ""
    references: tuple[str, ...] = ()
    third_party_licenses: str = ""
    thumbnail: FloatArray | None = None
    avatar_permission: str = "onlyAuthor"
    allow_excessively_violent_usage: bool = False
    allow_excessively_sexual_usage: bool = False
    commercial_usage: str = "personalNonProfit"
    allow_political_or_religious_usage: bool = False
    allow_antisocial_or_hate_usage: bool = False
    credit_notation: str = "required"
    allow_redistribution: bool = False
    modification: str = "prohibited"
    other_license_url: str = ""

    def __post_init__(self) -> None:
        if not self.name:
            raise FormatError("VRM: the model needs a name")
        if isinstance(self.authors, str) or not self.authors or not all(self.authors):
            raise FormatError(f"VRM: expected a list of authors, each with a name, got {self.authors!r}")
        for field, allowed in ALLOWED_VALUES.items():
            if (found := getattr(self, field)) not in allowed:
                raise FormatError(f"VRM: expected {field} to be one of {', '.join(allowed)}, got {found!r}")
        if self.thumbnail is not None:
            shape = np.shape(self.thumbnail)
            if len(shape) != 3 or shape[0] != shape[1] or shape[2] != 4:
                raise FormatError(f"VRM: expected a square thumbnail (S, S, 4), got {shape}")

    def describe(self) -> dict[str, Any]:
        """Return the extension's `meta` object without the thumbnail and without empty fields."""
        values = {_to_camel_case(item.name): getattr(self, item.name) for item in fields(self)}
        del values["thumbnail"]
        kept = {name: value for name, value in values.items() if value not in ("", ())}
        lists = {name: list(value) for name, value in kept.items() if isinstance(value, tuple)}
        return {**kept, **lists, "licenseUrl": LICENSE_URL}


def _to_camel_case(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(map(str.capitalize, others))
