"""The broker between front doors and workers: Celery on RabbitMQ, quorum queues, one message a job.

A message is a job's id, which is also the task's. It is acknowledged when the job has ended, so a worker that
dies gives it back to the broker. One that is given back too often goes to the dead-letter queue.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterable
from typing import Any

import kombu
from amqp.exceptions import AMQPError
from celery import Celery

from .queues import QUEUE

log = logging.getLogger("character3d")

DEAD_QUEUE = "character3d.dead"
TASK = "character3d.run_job"
MOST_DELIVERIES = 8
"""RabbitMQ's x-delivery-limit; the store counts the attempts at a job, and gives up before (worker.py)."""
ANSWER_SECONDS = 2.0

_DEAD = kombu.Queue(DEAD_QUEUE, routing_key=DEAD_QUEUE, queue_arguments={"x-queue-type": "quorum"})


def make_queue(name: str) -> kombu.Queue:
    """A queue of jobs, as the broker declares it."""
    arguments = {
        "x-queue-type": "quorum",
        "x-delivery-limit": MOST_DELIVERIES,
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": DEAD_QUEUE,
    }
    return kombu.Queue(name, routing_key=name, queue_arguments=arguments)


def make_celery(url: str, queue: str = QUEUE) -> Celery:
    """The Celery application on a broker, such as amqp://user:password@host/. queue: of its worker."""
    app = Celery("character3d", broker=url, set_as_current=False)
    app.conf.update(
        task_queues=[make_queue(queue)],
        task_default_queue=queue,
        task_ignore_result=True,
        task_acks_late=True,
        task_reject_on_worker_lost=True,
        worker_prefetch_multiplier=1,
        worker_concurrency=1,
        worker_detect_quorum_queues=True,
        worker_enable_remote_control=False,
        worker_hijack_root_logger=False,
        broker_connection_retry_on_startup=True,
        broker_transport_options={"confirm_publish": True},
        broker_heartbeat=10,
    )
    return app


def make_sender(app: Celery) -> Callable[[str, str], None]:
    """What gives a job's id to a queue: it returns when the broker has it on disk. Blocks; raises."""

    def send(job_id: str, queue: str) -> None:
        app.send_task(TASK, [job_id], task_id=job_id, queue=make_queue(queue), retry=False)

    return send


def consume_dead(app: Celery, handle: Callable[[str], None]) -> None:
    """Hand the ids of jobs that no worker could run to `handle`, until none comes for a while. Blocks.

    A message that `handle` raises for stays in the queue.
    """

    def receive(body: Any, message: Any) -> None:
        handle(str(message.headers.get("id", "")))
        message.ack()

    with app.connection_for_read() as connection, connection.channel() as channel:
        _DEAD(channel).declare()
        with kombu.Consumer(channel, [_DEAD], callbacks=[receive], accept=["json"]):
            while _drain(connection):
                pass


def _drain(connection: kombu.Connection) -> bool:
    """Let one message be received; returns whether one came within a second."""
    try:
        connection.drain_events(timeout=1)
    except TimeoutError:
        return False
    return True


class BrokerError(Exception):
    """The broker does not answer."""


class Broker:
    """A connection that asks the broker how many messages wait. Blocks for some seconds at most."""

    def __init__(self, app: Celery) -> None:
        self._app, self._asking = app, threading.Lock()
        self._connection: kombu.Connection | None = None
        self._channel: Any = None
        self._declared: set[str] = set()

    def count_messages(self, further: Iterable[str] = ()) -> dict[str, int]:
        """How many messages wait, by queue: those of dead ones and the application, and further ones.

        Raises BrokerError.
        """
        names = (queue.name for queue in self._app.conf.task_queues)
        queues = [*map(make_queue, dict.fromkeys((*names, *further))), _DEAD]
        with self._asking:
            try:
                if self._connection is None:
                    self._connect()
                return {queue.name: self._count(queue) for queue in queues}
            except (AMQPError, OSError) as error:
                self._close()
                raise BrokerError(f"the broker does not answer: {error}") from error

    def _connect(self) -> None:
        options = {"read_timeout": ANSWER_SECONDS, "write_timeout": ANSWER_SECONDS}
        self._connection = self._app.connection_for_read(
            connect_timeout=ANSWER_SECONDS, heartbeat=0, transport_options=options
        )
        self._connection.connect()
        self._channel = self._connection.channel()

    def _count(self, queue: kombu.Queue) -> int:
        if queue.name not in self._declared:
            queue(self._channel).declare()
            self._declared.add(queue.name)
        return int(self._channel.queue_declare(queue.name, passive=True).message_count)

    def _close(self) -> None:
        self._declared.clear()
        if self._connection is not None:
            self._connection.release()
            self._connection = None
