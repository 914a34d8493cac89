"""The shipped workflows where the editor renders the nodes with Vue ("Nodes 2.0")."""

import contextlib
import importlib.metadata

import pytest
from character3d.launcher.cores import OLDEST

from .conftest import WORKFLOWS
from .test_editor import IS_OLD, check_report, editor, open_workflow, post_json

__all__ = ["editor"]
IS_OLDEST = importlib.metadata.version("comfyui-frontend-package") == OLDEST.frontend


@contextlib.contextmanager
def open_vue(editor, url):
    """A page whose editor renders the nodes with Vue."""
    page = editor.context.new_page()
    post_json(f"{url}/api/settings", {"Comfy.VueNodes.Enabled": True})
    try:
        yield page
    finally:
        post_json(f"{url}/api/settings", {"Comfy.VueNodes.Enabled": False})
        page.close()


@pytest.mark.nightly
@pytest.mark.skipif(IS_OLDEST, reason="its Vue rendering draws no element that an extension adds")
def test_a_node_tells_of_its_last_run(editor, comfyui):
    with open_vue(editor, comfyui.url) as page:
        open_workflow(page, comfyui.url, "Picture to rigged character")
        check_report(page)
        assert page.locator("[data-node-id]").count() > 0


COVERED = """() => {
    const elements = [...document.querySelectorAll("[data-node-id]")];
    const boxes = elements.map(element => [element.dataset.nodeId, element.getBoundingClientRect()]);
    if (boxes.length < app.graph.nodes.length || boxes.some(([, box]) => !box.height)) return null;
    const title = id => app.graph.getNodeById(id).title;
    return boxes.flatMap(([id, a], index) => boxes.slice(index + 1)
        .filter(([, b]) => a.left < b.right && b.left < a.right && a.top < b.bottom && b.top < a.bottom)
        .map(([other]) => [title(id), title(other)]));
}"""
"""Pairs of nodes of which one lies over the other, once all have been laid out."""


@pytest.mark.nightly
@pytest.mark.skipif(IS_OLD, reason="the first Vue rendering, of 2025, spreads the nodes itself")
@pytest.mark.parametrize("name", WORKFLOWS)
def test_where_vue_renders_the_nodes_none_lies_over_another(editor, comfyui, name):
    """They take more room there than on the canvas."""
    with open_vue(editor, comfyui.url) as page:
        open_workflow(page, comfyui.url, name)
        page.wait_for_function(f"() => ({COVERED})() !== null")
        page.wait_for_timeout(1_000)
        assert page.evaluate(COVERED) == []
