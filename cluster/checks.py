"""Short questions to any worker: what is seen in a picture, and what a rig would make of a mesh.

The file is put where all can read it, and a message asks; the worker that takes it answers over RabbitMQ's
direct reply-to (https://www.rabbitmq.com/docs/direct-reply-to). Workers take questions beside their jobs, so
none waits for a job's end. Nothing is kept: a question that nobody answers in time is refused.
"""

from __future__ import annotations

import base64
import logging
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import IO, Any

import kombu
from celery import Celery
from kombu.mixins import ConsumerMixin

from ..client.client import ServiceError
from ..server_routes.check import CHECK_PATH
from ..server_routes.errors import ApiError, server_busy
from ..server_routes.picture import decode_upload
from ..server_routes.rig_check import RIG_CHECK_PATH
from ..server_routes.upload import MESH
from .comfyui import FOR_NOW, ComfyUI
from .files import ClusterFiles

log = logging.getLogger("character3d")

WAIT_SECONDS = 30.0
"""For how long a question waits for its answer."""
PAUSE = 0.5
HEARTBEAT_SECONDS = 60
"""Of a worker's connection: it does not hear of the broker while its ComfyUI reads a file."""
_QUEUE = kombu.Queue("character3d.checks", routing_key="character3d.checks")
_REPLIES = kombu.Queue("amq.rabbitmq.reply-to", no_declare=True)

Question = Mapping[str, Any]
"""path: of the route. id: of its files. fields: of the form."""
Ask = Callable[[Question], Mapping[str, Any]]
"""The answer of a worker: status and body. Blocks; raises TimeoutError or OSError where none comes."""


def make_asker(app: Celery) -> Ask:
    """What asks any worker over a broker."""

    def ask(question: Question) -> Mapping[str, Any]:
        answers: list[Mapping[str, Any]] = []

        def receive(body: Mapping[str, Any], message: Any) -> None:
            answers.append(body)

        with app.connection_for_write() as connection, connection.channel() as channel:
            _QUEUE(channel).declare()
            with kombu.Consumer(channel, [_REPLIES], callbacks=[receive], no_ack=True, accept=["json"]):
                kombu.Producer(channel).publish(
                    dict(question),
                    routing_key=_QUEUE.routing_key,
                    reply_to=_REPLIES.name,
                    expiration=WAIT_SECONDS,
                    delivery_mode="transient",
                )
                deadline = time.monotonic() + WAIT_SECONDS
                while not answers:
                    connection.drain_events(timeout=max(0.01, deadline - time.monotonic()))
        return answers[0]

    return ask


class WorkerChecks:
    """What a front door answers checks with. count_workers: how many are heard of."""

    def __init__(self, files: ClusterFiles, ask: Ask, count_workers: Callable[[], int]) -> None:
        self._files, self._ask, self._count_workers = files, ask, count_workers

    def read_picture(
        self, image: IO[bytes], name: str, values: Mapping[str, Any]
    ) -> tuple[Mapping[str, Any], bytes]:
        """As check.UploadReader: a picture that cannot be decoded troubles no worker."""
        decode_upload(image, name)
        found = self._answer(CHECK_PATH, {name: image}, values)
        return found, base64.b64decode(found.pop("preview"))

    def read_mesh(self, file: IO[bytes], suffix: str) -> Mapping[str, Any]:
        """As rig_check.MeshReader."""
        return self._answer(RIG_CHECK_PATH, {f"{MESH}{suffix}": file}, {})

    def _answer(self, path: str, files: Mapping[str, IO[bytes]], fields: Mapping[str, Any]) -> dict[str, Any]:
        if not self._count_workers():
            raise server_busy(503, "No worker is there that could look at it", "no_worker", 30)
        try:
            with self._files.hold_question(files) as number:
                answer = self._ask({"path": path, "id": number, "fields": fields})
        except OSError as error:  # TimeoutError is one
            log.warning("%s: no worker has answered: %s", path, error)
            raise server_busy(503, "No worker has answered in time", "no_worker", 10) from error
        body = dict(answer["body"])
        if answer["status"] != 200:
            raise ApiError(answer["status"], body["error_code"], body["message"], body["details"])
        return body


class CheckConsumer(ConsumerMixin):  # type: ignore[misc]  # kombu has no types
    """Answers questions beside a worker's jobs, one at a time, until `should_stop` is set."""

    def __init__(self, app: Celery, files: ClusterFiles, comfyui: ComfyUI) -> None:
        self.connection = app.connection_for_read(heartbeat=HEARTBEAT_SECONDS)
        self._files, self._comfyui = files, comfyui

    def get_consumers(self, consumer: Any, channel: Any) -> list[Any]:
        """As ConsumerMixin calls it, with each connection."""
        return [consumer([_QUEUE], callbacks=[self._receive], accept=["json"], prefetch_count=1)]

    def _receive(self, question: Question, message: Any) -> None:
        try:
            answer = self._answer(question)
        except FileNotFoundError:
            message.ack()  # nobody waits for it any more
        except (ServiceError, OSError) as error:
            log.warning("a check is given back: %s", error)
            time.sleep(PAUSE)
            message.requeue()
        else:
            kombu.Producer(message.channel).publish(answer, routing_key=message.properties["reply_to"])
            message.ack()

    def _answer(self, question: Question) -> Mapping[str, Any]:
        """Status and body of ComfyUI's answer. Raises ServiceError or OSError where it has none now."""
        with tempfile.TemporaryDirectory() as folder:
            files = self._files.fetch_question(question["id"], Path(folder))
            try:
                body = self._comfyui.check(question["path"], files, question["fields"])
            except ServiceError as error:
                if error.status in FOR_NOW or error.error_code is None:
                    raise
                refusal = {"error_code": error.error_code, "message": error.message, "details": error.details}
                return {"status": error.status, "body": refusal}
        return {"status": 200, "body": {name: value for name, value in body.items() if name != "seconds"}}
