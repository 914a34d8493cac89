"""The pack's errors. Messages name what was found and what was expected."""

from __future__ import annotations


class Character3DError(Exception):
    """Base of all errors raised by this pack; the message may be shown to users."""


class PictureError(Character3DError):
    """The picture is unusable: damaged, empty, or without a subject."""


class PictureFormatError(PictureError):
    """The bytes are not an accepted picture format."""


class PictureTooLargeError(PictureError):
    """The picture has more bytes or pixels than accepted."""


class MeshError(Character3DError):
    """A mesh could not be made, or is unsuitable for the stage that received it."""


class RigError(Character3DError):
    """No skeleton could be fitted; the message carries the measurements that say why."""


class FormatError(Character3DError):
    """A file could not be read or written in the requested format."""


class WeightsError(Character3DError):
    """Model weights are missing, damaged, or belong to another model than their name says."""
