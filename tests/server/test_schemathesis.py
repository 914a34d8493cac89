"""schemathesis checks the running service against its OpenAPI document, with all its checks."""

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest
from hypothesis import settings

from .conftest import lay_base_folder, run_front_door, run_stub_server
from .test_webhooks import ENVIRONMENT, SECRET

HERE = Path(__file__).parent


@pytest.fixture
def serve_quickly(comfyui_folder, tmp_path, request):
    """Start a server with these environment variables and stages that take no time."""

    def start(**variables):
        lay_base_folder(tmp_path)
        (tmp_path / "control.json").write_text(json.dumps({"every": 0.0}))
        if request.config.getoption("service") == "cluster":
            (tmp_path / "cluster").mkdir()
            postgres = request.getfixturevalue("postgres")
            return run_front_door(comfyui_folder, postgres, tmp_path / "cluster", tmp_path, **variables)
        return run_stub_server(comfyui_folder, tmp_path, **variables)

    return start


def run_schemathesis(url, folder, examples):
    """Run all checks in all phases; returns the number of requests."""
    done = subprocess.run(
        [
            *(sys.executable, "-P", "-m", "schemathesis.cli", "--config-file", HERE / "schemathesis.toml"),
            *("run", f"{url}/generate_character/openapi.json", "--checks", "all", "--no-color"),
            *("--phases", "examples,coverage,fuzzing,stateful", "--max-examples", str(examples)),
        ],
        cwd=folder,
        env={
            **os.environ,
            "SCHEMATHESIS_HOOKS": "schemathesis_hooks",
            "PYTHONPATH": str(HERE),
            "API_KEY": "sesame",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
    described, tested, made = (
        int(re.search(pattern, done.stdout)[1])
        for pattern in (r"Selected: \d+/(\d+)", r"Tested: (\d+)", r"(\d+) generated")
    )
    assert tested == described >= 11
    return made


def test_all_checks(serve_quickly, tmp_path, record_property):
    """Many more with --hypothesis-profile=long."""
    examples = 300 if settings.get_current_profile_name() == "long" else 8
    variables = {"CHARACTER3D_TRUSTED_PROXIES": "127.0.0.1", "CHARACTER3D_ALLOW_OPEN": "1"}
    with serve_quickly(**variables, **{SECRET: ENVIRONMENT[SECRET]}) as server:
        record_property("requests", run_schemathesis(server.url, tmp_path, examples))
        last = time.monotonic() + 90  # a cluster's one worker has jobs left
        while "webhook msg_" not in (log := server.log.read_text("utf-8", "replace")):
            assert time.monotonic() < last, "no webhooks were sent"
            time.sleep(0.5)
    assert not [line for line in log.splitlines() if line.startswith("background task")]


@pytest.mark.nightly
def test_all_checks_with_keys(serve_quickly, tmp_path):
    with serve_quickly(CHARACTER3D_API_KEYS="sesame") as server:
        assert run_schemathesis(server.url, tmp_path, 3) > 50
