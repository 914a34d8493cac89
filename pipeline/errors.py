"""Errors whose message names what was found and what was expected. All derive from Character3DError."""

from __future__ import annotations


class Character3DError(Exception):
    """Base of every error that this pack raises on purpose; its message may be shown to a user."""


class PictureError(Character3DError):
    """The picture cannot be used: damaged, empty, or without a subject."""


class PictureFormatError(PictureError):
    """The bytes are of no picture format that is accepted."""


class PictureTooLargeError(PictureError):
    """The picture holds more bytes or pixels than are accepted."""


class MeshError(Character3DError):
    """A mesh could not be made, or is not fit for the stage that received it."""


class RigError(Character3DError):
    """No skeleton could be fitted; the message carries the measurements that say why."""


class FormatError(Character3DError):
    """A file could not be written in, or read from, the format asked for."""


class WeightsError(Character3DError):
    """Model weights are missing, damaged, or not those of the model that they are named after."""
