"""Sends pictures of 10 MB to front doors at a rate; prints milliseconds to the 202 as JSON.

    python benchmarks/cluster_load.py [--rate 20] [--seconds 15] ADDRESS...

A process of its own, so that its work is not the front doors'. Every picture comes from another user.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import time

import numpy as np
from PIL import Image

SIDE, NOISE = 1850, 60.0


def make_form() -> tuple[bytes, str]:
    """A form with a picture of 10 MB, with grain as of a photograph, and its media type."""
    rng = np.random.default_rng(3)
    y, x = np.mgrid[0:SIDE, 0:SIDE].astype(np.float32)
    plain = np.stack([x / SIDE * 255, y / SIDE * 255, (x + y) % 256], -1)
    buffer = io.BytesIO()
    Image.fromarray(np.clip(plain + rng.normal(0, NOISE, plain.shape), 0, 255).astype(np.uint8)).save(
        buffer, "PNG"
    )
    head = b'--x\r\nContent-Disposition: form-data; name="image"; filename="input.png"\r\n\r\n'
    return head + buffer.getvalue() + b"\r\n--x--\r\n", "multipart/form-data; boundary=x"


async def send(address: str, number: int, form: tuple[bytes, str]) -> tuple[int, float]:
    """The status of an answer, and the seconds to it."""
    host, port = address.removeprefix("http://").split(":")
    body, media_type = form
    source = f"127.{100 + number // 62_500}.{number // 250 % 250}.{2 + number % 250}"
    started = time.perf_counter()
    reader, writer = await asyncio.open_connection(host, int(port), local_addr=(source, 0))
    head = (
        f"POST /generate_character HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: {media_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    try:
        writer.write(head.encode())
        writer.write(body)
        answer = await reader.read()
    except ConnectionError:  # refused before all had been sent
        answer = b"HTTP/1.1 0"
    finally:
        writer.close()
    return int(answer.split(b" ", 2)[1]), time.perf_counter() - started


async def load(addresses: list[str], rate: float, seconds: float) -> dict[str, float]:
    form, tasks = make_form(), []
    started = time.perf_counter()
    for number in range(round(rate * seconds)):
        await asyncio.sleep(max(0.0, started + number / rate - time.perf_counter()))
        tasks.append(asyncio.create_task(send(addresses[number % len(addresses)], number, form)))
    answers = await asyncio.gather(*tasks)
    points = np.percentile([taken for _, taken in answers], (50, 95, 99)) * 1000
    refused = sum(status != 202 for status, _ in answers)
    found = dict(zip(("p50", "p95", "p99"), points.tolist(), strict=True))
    return {**found, "count": len(answers), "refused": refused, "megabytes": len(form[0]) / 1e6}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--rate", type=float, default=20.0)
    parser.add_argument("--seconds", type=float, default=15.0)
    options = parser.parse_args()
    print(json.dumps(asyncio.run(load(options.addresses, options.rate, options.seconds))))


if __name__ == "__main__":
    main()
