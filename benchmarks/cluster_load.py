"""Sends pictures of 10 MB to front doors at a rate; prints milliseconds to the 202 as JSON.

    python benchmarks/cluster_load.py [--rate 20] [--seconds 15] [--picture PNG] ADDRESS...

A process of its own, so that its work is not the front doors'. Every picture comes from another user.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import socket
import time

import numpy as np
from PIL import Image

PICTURES = {"PNG": ((1850, 1850), 60.0, {}), "JPEG": ((6000, 4000), 16.0, {"quality": 87})}
"""Width and height in pixels, standard deviation of the grain, and options of Pillow."""


def make_form(kind: str) -> tuple[bytes, str]:
    """A form with a picture of 10 MB, with grain as of a photograph, and its media type."""
    (width, height), noise, options = PICTURES[kind]
    y, x = np.mgrid[0:height, 0:width].astype(np.float32)
    plain = np.stack([x / width * 255, y / height * 255, (x + y) % 256], -1)
    grain = np.random.default_rng(3).normal(0, noise, (height, width, 3 if kind == "PNG" else 1))
    buffer = io.BytesIO()
    Image.fromarray(np.clip(plain + grain, 0, 255).astype(np.uint8)).save(buffer, kind, **options)
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="input"\r\n\r\n'
    return head + buffer.getvalue() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


async def send(address: str, number: int, form: tuple[bytes, str]) -> tuple[int, float]:
    """The status of an answer, and the seconds to it. Straight from the form's bytes: no copy of them."""
    host, port = address.removeprefix("http://").split(":")
    body, media_type = form
    head = (
        f"POST /generate_character HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    loop, started = asyncio.get_running_loop(), time.perf_counter()
    with socket.socket() as link:
        link.setblocking(False)
        link.bind((f"127.{100 + number // 62_500}.{number // 250 % 250}.{2 + number % 250}", 0))
        try:
            await loop.sock_connect(link, (host, int(port)))
            await loop.sock_sendall(link, head.encode())
            await loop.sock_sendall(link, body)
            answer = await loop.sock_recv(link, 64)
        except ConnectionError:  # refused before all had been sent
            answer = b"HTTP/1.1 0 "
    return int(answer.split(b" ", 2)[1]), time.perf_counter() - started


async def load(addresses: list[str], rate: float, seconds: float, kind: str) -> dict[str, float]:
    form, tasks = make_form(kind), []
    started, cpu = time.perf_counter(), time.process_time()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(send(addresses[number % len(addresses)], number, form)))
    answers = await asyncio.gather(*tasks)
    points = np.percentile([taken for _, taken in answers], (50, 95, 99)) * 1000
    refused = sum(status != 202 for status, _ in answers)
    found = dict(zip(("p50", "p95", "p99"), points.tolist(), strict=True))
    seconds = (time.process_time() - cpu) / len(answers)
    sizes = {"count": len(answers), "refused": refused, "megabytes": len(form[0]) / 1e6}
    return {**found, **sizes, "processor": seconds}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--picture", choices=PICTURES, default="PNG")
    options = parser.parse_args()
    print(json.dumps(asyncio.run(load(options.addresses, options.rate, options.seconds, options.picture))))


if __name__ == "__main__":
    main()
