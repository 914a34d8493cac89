"""The Python client against servers that are not a Character3D service."""

import sys
from pathlib import Path

import pytest
from character3d.client import Client
from character3d.launcher.installation import Installation
from character3d.launcher.server import find_free_port, run_server
from character3d.tests.forking import start_fork
from character3d.tests.loopback import serve_answers

from .conftest import make_png
from .test_client import refusal


def test_a_comfyui_without_the_pack(comfyui_folder, tmp_path):
    (tmp_path / "custom_nodes").mkdir()
    installation = Installation(Path(sys.executable), comfyui_folder, tmp_path, is_own=True)
    with run_server(installation, find_free_port(), start=start_fork) as server:
        client = Client(server.address)
        calls = {
            client.models: 404,
            client.health: 404,
            lambda: client.generate(make_png()): 405,
            lambda: client.status("job"): 404,
            lambda: client.wait("job"): 404,
            lambda: client.cancel("job"): 405,
            lambda: client.delete("job"): 405,
            lambda: list(client.list_jobs()): 404,
            lambda: client.download("job", "a.glb", tmp_path / "here"): 404,
        }
        for call, status in calls.items():
            error = refusal(call)
            assert (error.status, error.error_code, error.details) == (status, None, {})
            assert error.message.startswith(f"No Character3D service at {server.address}/")


@pytest.mark.parametrize(
    ("status", "body"), [(200, b"<html>"), (200, b"[]"), (200, b"\xff"), (502, b"{}"), (503, b'{"error": 1}')]
)
def test_other_servers(status, body):
    with serve_answers(lambda request: (status, {"Retry-After": "7"}, body)) as url:
        error = refusal(Client(url).status, "job")
    assert (error.status, error.error_code, error.retry_after) == (status, None, 7.0)
    assert (
        error.message
        == f"No Character3D service at {url}/job/job/status: found {status} with no Content-Type"
    )


@pytest.mark.parametrize("address", ["", "127.0.0.1:8188", "file:///etc", "ftp://host", "HTTP//x"])
def test_an_address_that_is_none(address):
    with pytest.raises(ValueError, match="expected http://HOST:PORT"):
        Client(address)
