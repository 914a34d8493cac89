"""A network between two processes that can be cut: a TCP proxy on loopback."""

from __future__ import annotations

import asyncio
import contextlib

WHOLE, SILENT, BROKEN = "whole", "silent", "broken"
HOST = "127.0.0.1"
_CHUNK = 65_536


class Link:
    """Relays connections to a port, from the address that each client has.

    SILENT: no byte passes and nobody is told; BROKEN: connections are reset, and new ones too.
    """

    def __init__(self, name: str, target: int) -> None:
        self.name, self.port = name, 0
        self._target = target
        self._state = WHOLE
        self._passes = asyncio.Event()
        self._passes.set()
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._accept, HOST, 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        self._reset()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def cut(self, how: str) -> None:
        self._state = how
        if how == SILENT:
            self._passes.clear()
        else:
            self._reset()

    def heal(self, resets: bool) -> None:
        """resets: what was open is gone, as behind a firewall that has forgotten it."""
        self._state = WHOLE
        if resets:
            self._reset()
        self._passes.set()

    def _reset(self) -> None:
        for writer in list(self._writers):
            writer.transport.abort()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self._writers.add(writer)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            await self._relay(reader, writer)
        writer.transport.abort()
        self._writers.discard(writer)
        self._tasks.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await self._passes.wait()
        if self._state == BROKEN:
            return
        source = (writer.get_extra_info("peername")[0], 0)
        far_reader, far_writer = await asyncio.open_connection(HOST, self._target, local_addr=source)
        self._writers.add(far_writer)
        try:
            ways = (self._pump(reader, far_writer), self._pump(far_reader, writer))
            await asyncio.gather(*ways)
        finally:
            far_writer.transport.abort()
            self._writers.discard(far_writer)

    async def _pump(self, source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(_CHUNK):
            await self._passes.wait()
            target.write(data)
            await target.drain()
        await self._passes.wait()
        target.write_eof()
