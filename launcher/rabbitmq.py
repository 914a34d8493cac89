"""A RabbitMQ from the system's packages: one node on loopback, its files in one folder."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import socket
import subprocess
import time
from pathlib import Path

from .process import Process, find_account, make_own_folder
from .server import HOST, find_free_port

DEBIAN = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
"""What /usr/sbin/rabbitmq-server starts, which itself takes no user but its own."""
USER = "character3d"
PROTOCOL = b"AMQP\x00\x00\x09\x01"
"""A client's first bytes (AMQP 0-9-1, 4.2.2); a broker that is up answers with a method, type 1."""
START_SECONDS = 120.0


def find_rabbitmq() -> Path | None:
    """The program that starts RabbitMQ; None where it is not installed."""
    if DEBIAN.exists():
        return DEBIAN
    found = shutil.which("rabbitmq-server")
    return Path(found) if found else None


class RabbitServer:
    """A broker that can be stopped and started again. url: what Celery takes.

    Raises QuickstartError where it does not come up.
    """

    def __init__(self, program: Path, folder: Path) -> None:
        self._program, self._folder, self._port = program, folder, find_free_port()
        self._process: Process | None = None
        make_own_folder(folder)
        password = self._read_password()
        self.url = f"amqp://{USER}:{password}@{HOST}:{self._port}//"
        (folder / "enabled_plugins").write_text("[].")
        (folder / "rabbitmq.conf").write_text(f"default_user = {USER}\ndefault_pass = {password}\n")
        self._environment = self._list_variables()

    def _read_password(self) -> str:
        file = self._folder / "password"
        if not file.exists():
            file.write_text(secrets.token_urlsafe(24))
            file.chmod(0o600)
        return file.read_text()

    def _list_variables(self) -> dict[str, str]:
        own = {
            "HOME": self._folder,  # Erlang's cookie
            "ERL_EPMD_ADDRESS": HOST,
            "ERL_EPMD_PORT": find_free_port(),
            "RABBITMQ_NODENAME": "character3d@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": HOST,
            "RABBITMQ_NODE_PORT": self._port,
            "RABBITMQ_DIST_PORT": find_free_port(),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_MNESIA_BASE": self._folder / "data",
            "RABBITMQ_LOG_BASE": self._folder / "logs",
            "RABBITMQ_ENABLED_PLUGINS_FILE": self._folder / "enabled_plugins",
            "RABBITMQ_CONFIG_FILE": self._folder / "rabbitmq.conf",
            "RABBITMQ_PID_FILE": self._folder / "pid",
            "LANG": "C.UTF-8",
        }
        return {**os.environ, **{name: str(value) for name, value in own.items()}}

    def start(self) -> None:
        """Start the broker; returns when it takes connections."""
        command, log = [self._program], self._folder / "log"
        self._process = Process(
            "RabbitMQ", command, log, self._environment, cwd=self._folder, **find_account()
        )
        self._process.wait_until(self._answers, START_SECONDS)

    def check(self) -> None:
        """Raise QuickstartError where the broker has ended."""
        if self._process:
            self._process.check()

    def stop(self) -> None:
        """Stop the broker, and Erlang's name server, which is its own."""
        try:
            if self._process:
                self._process.stop(seconds=30)
        finally:  # of a second Ctrl-C, too
            self._stop_names()

    def kill(self) -> None:
        """End all of its processes at once."""
        if self._process:
            self._process.kill()
            self._stop_names()

    def _stop_names(self) -> None:
        for _ in range(50):  # it does not end before it has noticed that the node has
            command = ["epmd", "-kill"]  # fails at once where there is none
            done = subprocess.run(command, env=self._environment, capture_output=True)
            if not done.returncode or b"cannot connect" in done.stdout + done.stderr:
                return
            time.sleep(0.1)

    def _answers(self) -> bool:
        with contextlib.suppress(OSError), socket.create_connection((HOST, self._port), 1) as connection:
            connection.sendall(PROTOCOL)
            return connection.recv(1) == b"\x01"
        return False
