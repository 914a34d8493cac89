"""A RabbitMQ of the tests' own, in a temporary folder (launcher/rabbitmq.py)."""

import contextlib
import os
import tempfile
from pathlib import Path

from character3d.launcher.rabbitmq import RabbitServer, find_rabbitmq


@contextlib.contextmanager
def run_rabbitmq():
    """A running broker; None where RabbitMQ is not installed."""
    program = find_rabbitmq()
    if program is None:
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o755)
        server = RabbitServer(program, Path(name, "rabbitmq"))
        server.start()
        try:
            yield server
        finally:
            server.kill()
