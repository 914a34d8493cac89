"""Kills and cuts of a whole cluster, as benchmarks/cluster.py has them, in short."""

import subprocess
import sys
from pathlib import Path

import pytest
from character3d.launcher.postgres import find_postgres
from character3d.launcher.rabbitmq import find_rabbitmq

REPOSITORY = Path(__file__).resolve().parents[2]
pytestmark = pytest.mark.nightly  # it starts eight servers, and kills some


def test_three_disasters_lose_no_job_and_do_none_twice(comfyui_folder):
    """Of this seed's rounds the first kills a worker, the second a ComfyUI, and the third a front door."""
    if find_postgres() is None or find_rabbitmq() is None:
        pytest.skip("PostgreSQL and RabbitMQ are not installed")
    script = REPOSITORY / "benchmarks" / "cluster.py"
    command = [sys.executable, "-P", script, "chaos", "--seed", "1654", "--rounds", "3"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [done.stdout.count(f"kill -9 {name}") for name in ("worker", "comfyui", "door")] == [1, 1, 1]
    closing = done.stdout.splitlines()[-1]
    assert "accepted 12" in closing and "lost 0, done twice 0, files half 0" in closing
