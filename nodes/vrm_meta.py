"""Title, authors and permissions of an avatar, as VRM 1.0 states them."""

from __future__ import annotations

from ..pipeline.formats import ALLOWED_VALUES, VrmMeta
from .compat import io, make_schema
from .sockets import VrmMetaSocket


def _permission_input(name: str, tooltip: str) -> io.Input:
    """The choices of the specification, the most cautious one by default."""
    default = VrmMeta.__dataclass_fields__[name].default
    return io.Combo.Input(name, options=list(ALLOWED_VALUES[name]), default=default, tooltip=tooltip)


class MakeVrmMeta(io.ComfyNode):
    """States who made an avatar and what others may do with it."""

    @classmethod
    def define_schema(cls) -> io.Schema:  # noqa: D102
        return make_schema(
            node_id="C3DVrmMeta",
            display_name="VRM Meta",
            category="character3d/6 export",
            description="Title, authors and permissions for a VRM file; by default others may do nothing.",
            search_aliases=["vrm license", "avatar permissions"],
            inputs=[
                io.String.Input("name", default="Character", tooltip="Title of the avatar."),
                io.String.Input("authors", default="Unknown", tooltip="Its authors, separated by commas."),
                _permission_input("avatar_permission", "Who may appear as this avatar."),
                _permission_input("commercial_usage", "Whether it may earn money, and whose."),
                _permission_input("credit_notation", "Whether its authors must be named."),
                _permission_input("modification", "Whether it may be changed, and the change passed on."),
                io.Boolean.Input(
                    "allow_redistribution", default=False, tooltip="Whether the file may be passed on."
                ),
            ],
            outputs=[VrmMetaSocket.Output(display_name="vrm_meta", tooltip="For Save Character.")],
        )

    @classmethod
    def execute(cls, name: str, authors: str, **permissions: str | bool) -> io.NodeOutput:
        """-> C3D_VRM_META."""
        people = tuple(author.strip() for author in authors.split(",") if author.strip())
        return io.NodeOutput(VrmMeta(name, people, **permissions))  # type: ignore[arg-type]
