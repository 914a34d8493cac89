"""Title, authors and permissions of an avatar, as defined by VRM 1.0."""

from __future__ import annotations

from dataclasses import fields

from ..pipeline.vrm_meta import ALLOWED_VALUES, VrmMeta
from .compat import io, make_schema
from .sockets import VrmMetaSocket

_DEFAULTS = {field.name: field.default for field in fields(VrmMeta)}


def _permission_input(name: str, tooltip: str) -> io.Input:
    """The values that the specification allows, with the most restrictive one as the default."""
    return io.Combo.Input(name, options=list(ALLOWED_VALUES[name]), default=_DEFAULTS[name], tooltip=tooltip)


class MakeVrmMeta(io.ComfyNode):
    """States who made an avatar and what others may do with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DVrmMeta",
            display_name="VRM Meta",
            category="character3d/6 export",
            description="Title, authors and permissions for a VRM file; by default others may not use it.",
            search_aliases=["vrm license", "avatar permissions"],
            inputs=[
                io.String.Input("name", default="Character", tooltip="Title of the avatar."),
                io.String.Input("authors", default="Unknown", tooltip="Its authors, separated by commas."),
                _permission_input("avatar_permission", "Who may appear as this avatar."),
                _permission_input("commercial_usage", "Whether it may be used commercially, and by whom."),
                _permission_input("credit_notation", "Whether its authors must be credited."),
                _permission_input("modification", "Whether it may be modified and redistributed."),
                io.Boolean.Input(
                    "allow_redistribution", default=False, tooltip="Whether the file may be redistributed."
                ),
            ],
            outputs=[VrmMetaSocket.Output(display_name="vrm_meta", tooltip="For Save Character.")],
        )

    @classmethod
    def execute(
        cls,
        name: str,
        authors: str,
        avatar_permission: str,
        commercial_usage: str,
        credit_notation: str,
        modification: str,
        allow_redistribution: bool,
    ) -> io.NodeOutput:
        """-> C3D_VRM_META."""
        meta = VrmMeta(
            name,
            tuple(author.strip() for author in authors.split(",") if author.strip()),
            avatar_permission=avatar_permission,
            commercial_usage=commercial_usage,
            credit_notation=credit_notation,
            modification=modification,
            allow_redistribution=allow_redistribution,
        )
        return io.NodeOutput(meta)
