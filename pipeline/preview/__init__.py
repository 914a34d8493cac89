"""Pictures of meshes for people to look at."""

from .render import render_contact_sheet, render_preview

__all__ = ["render_contact_sheet", "render_preview"]
