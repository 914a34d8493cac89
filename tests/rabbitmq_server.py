"""A RabbitMQ of the tests' own: files in a temporary folder, on loopback, run by a user without rights."""

import contextlib
import os
import signal
import subprocess
import tempfile
import time
from pathlib import Path

import kombu
from character3d.launcher.server import find_free_port

SERVER = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
NOBODY = 65534
START_SECONDS = 120


class RabbitServer:
    """A broker of one node that can be killed and started again. url: what Celery takes."""

    def __init__(self, folder):
        self._folder, port = folder, find_free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{port}//"
        (folder / "enabled_plugins").write_text("[].")
        self._environment = {
            **os.environ,
            "HOME": str(folder),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(find_free_port()),
            "RABBITMQ_NODENAME": "character3d@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(find_free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": str(folder / "data"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "enabled_plugins"),
            "RABBITMQ_CONFIG_FILE": str(folder / "none"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "LANG": "C.UTF-8",
        }
        self._process = None

    def start(self):
        user = {"user": NOBODY, "group": NOBODY} if os.geteuid() == 0 else {}
        with (self._folder / "out").open("ab") as log:
            self._process = subprocess.Popen(
                [SERVER],
                env=self._environment,
                stdout=log,
                stderr=log,
                cwd=self._folder,
                start_new_session=True,
                **user,
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            assert self._process.poll() is None and time.monotonic() < deadline, self._read_log()
            time.sleep(0.2)

    def kill(self):
        """All of its processes at once, and Erlang's name server, which is theirs alone."""
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
        for _ in range(50):  # it does not end before it has noticed that the node has
            if not subprocess.run(["epmd", "-kill"], env=self._environment, capture_output=True).returncode:
                break
            time.sleep(0.1)

    def _answers(self):
        try:
            with kombu.Connection(self.url, connect_timeout=1) as connection:
                connection.connect()
        except OSError:
            return False
        return True

    def _read_log(self):
        return (self._folder / "out").read_text()[-3000:]


@contextlib.contextmanager
def run_rabbitmq():
    """A running broker; None where RabbitMQ is not installed."""
    if not SERVER.exists():
        yield None
        return
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name:
        os.chmod(name, 0o777)
        server = RabbitServer(Path(name))
        server.start()
        try:
            yield server
        finally:
            server.kill()
