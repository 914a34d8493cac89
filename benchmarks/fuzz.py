"""Model files changed at random: each is read, or refused in a sentence of ours; some are stood up, too.

    python benchmarks/fuzz.py [--cases 100000] [--first 0] [--more FOLDER] [--only .fbx .usda]

A case is its number: it chooses a file (of tests/files, those that other writers make here, and those of
FOLDER), what is changed in it, and how. Cases run in forks, limited in memory and time, so that a crash of
native code is a finding and not the end; `--first` goes on where a run ended, or repeats a case. A finding is
an error that is not ours, one of ours that passes on words of Python or a library, a limit exceeded, or an
end without an answer. Prints each finding and, every 1,000 cases and at the end, a line

    cases N read R refused X found F

Needs a system that can fork. FBX and USD files, which native code reads in a process of its own, are one case
of ten; here that process is a fork, too. Where it crashes the file is refused, and the case is printed.
"""

from __future__ import annotations

import argparse
import copy
import importlib
import importlib.util
import io
import json
import math
import os
import random
import re
import resource
import shutil
import signal
import struct
import sys
import tempfile
import traceback
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

os.environ.setdefault("PXR_WORK_THREAD_LIMIT", "1")  # forks have no threads
REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", REPOSITORY / "__init__.py", submodule_search_locations=[str(REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.errors import Character3DError  # noqa: E402
from character3d.pipeline.formats import read_mesh  # noqa: E402
from character3d.pipeline.formats.reading import apart  # noqa: E402
from character3d.pipeline.orientation import place_mesh  # noqa: E402
from fuzz_fbx import change_nodes, encode_tree, read_tree, write_text  # noqa: E402
from fuzz_sources import gather_sources, pack_glb  # noqa: E402

AT_ONCE = 200
"""Cases of a fork."""
SECONDS = 60
BYTES = 4 << 30
LONGEST = 20
"""Seconds that a reader of native code may take."""
APART = (".fbx", ".usda", ".usdc", ".usdz")
APART_SHARE = 0.1
STANDING_SHARE = 0.1
"""Of the files that are read; standing one up takes ten times as long as reading it."""
FOREIGN = re.compile(
    r"\w+(Error|Exception|Warning)\b|Traceback|NoneType|object has no|index out of|out of bounds|<class|"
    r"not subscriptable|could not convert|invalid literal|cannot reshape|unsupported operand|numpy|"
    r"positional argument|[Tt]oo large to convert|broadcast"
)
"""Words of Python's and numpy's own errors."""
VALUES = [
    None, -1, 0, 1, 3, 7, 255, 65535, 2**31, 2**40, 2**70, 0.5, -1e30, 1e40, math.inf, math.nan, True, False,
    "", "../a", "a b", "data:,", "SCALAR", "VEC3", "MAT4", [], {}, [None], [0], [0] * 3, [0] * 4, 5120, 5126,
    "MASK",
]  # fmt: skip
"""What a value of JSON becomes."""
WORDS = [
    b"", b"0", b"-1", b"1", b"999999999", b"1e999", b"nan", b"inf", b"x", b"1/2/3", b"//", b"\x00",
    b"\xff\xfe", b"1e-320", b"\\", b"#", b"'", b"18446744073709551616", b"0.0.0", b"()", b"[]", b"{",
]  # fmt: skip
"""What a word of a text becomes."""


def main() -> None:
    """Run the cases and print what was found; 1 if anything was."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--more", type=Path)
    parser.add_argument("--only", nargs="*", default=(), help="suffixes of the files that are changed")
    options = parser.parse_args()
    apart.run_process = run_in_fork
    counts: Counter[str] = Counter()
    number, end = options.first, options.first + options.cases
    with tempfile.TemporaryDirectory() as name:
        found = gather_sources(Path(name, "sources"), options.more)
        sources = [path for path in found if not options.only or path.suffix.lower() in options.only]
        while number < end:
            before = number
            number = run_some(sources, number, min(number + AT_ONCE, end), Path(name), counts)
            if number // 1000 > before // 1000 or number == end:
                print_counts(counts)
    sys.exit(bool(counts["found"]))


def print_counts(counts: Counter[str]) -> None:
    total = sum(counts.values())
    words = (f"{word} {counts[word]}" for word in ("read", "refused", "found"))
    print(f"cases {total}", *words, flush=True)


def run_some(sources: list[Path], first: int, end: int, folder: Path, counts: Counter[str]) -> int:
    """Run cases first..end - 1 in a fork; the number to go on with."""
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        run_fork(sources, first, end, folder, writing)
    os.close(writing)
    number, ended = first, False
    with os.fdopen(reading) as lines:
        for line in lines:
            answer = json.loads(line)
            ended = answer["outcome"] != "begun"
            number = answer["case"]
            if ended:
                counts[answer["outcome"]] += 1
            if "error" in answer:
                print(f"case {number} ({answer['name']}): {answer['error']}", flush=True)
    _, status = os.waitpid(child, 0)
    if not ended:
        counts["found"] += 1
        print(f"case {number} ({answer['name']}): ended with status {status}", flush=True)
    return number + 1


def run_fork(sources: list[Path], first: int, end: int, folder: Path, writing: int) -> None:
    """Run cases, and tell each before and after."""
    resource.setrlimit(resource.RLIMIT_DATA, (BYTES, BYTES))
    silence = os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(silence, stream)
    try:
        run_cases(sources, range(first, end), folder, writing)
    finally:
        os._exit(0)


def run_cases(sources: list[Path], numbers: range, folder: Path, writing: int) -> None:
    slow = [path for path in sources if path.suffix.lower() in APART]
    others = [path for path in sources if path.suffix.lower() not in APART]
    for number in numbers:
        choose = random.Random(number)
        source = choose.choice(slow if slow and (not others or choose.random() < APART_SHARE) else others)
        tell(writing, {"case": number, "outcome": "begun", "name": source.name})
        signal.alarm(SECONDS)
        tell(writing, {"case": number, "name": source.name, **run_case(source, choose, folder / "case")})
        signal.alarm(0)


def tell(writing: int, answer: dict[str, Any]) -> None:
    os.write(writing, json.dumps(answer).encode() + b"\n")


def run_case(source: Path, choose: random.Random, folder: Path) -> dict[str, str]:
    """Change a file, read it and stand it up."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    path = folder / source.name
    data = change(source, choose)
    path.write_bytes(data)
    for beside in {".gltf": [".bin"], ".obj": [".mtl", ".png"]}.get(source.suffix.lower(), []):
        for companion in source.parent.glob(f"*{beside}"):
            shutil.copy(companion, folder)
    ends.clear()
    try:
        loaded = read_mesh(path)
        if choose.random() < STANDING_SHARE:
            place_mesh(loaded.surface)
    except Character3DError as error:
        if FOREIGN.search(str(error)):
            return {"outcome": "found", "error": f"passes on: {error}"}
        return ends.pop() if ends else {"outcome": "refused"}
    except Exception as error:  # noqa: BLE001
        return {"outcome": "found", "error": describe(error)}
    foreign = next(filter(FOREIGN.search, loaded.warnings), None)
    return {"outcome": "found", "error": f"passes on: {foreign}"} if foreign else {"outcome": "read"}


def describe(error: BaseException) -> str:
    """An error that is not ours, and where in the pack it was raised."""
    frames = traceback.extract_tb(error.__traceback__)
    place = next(frame for frame in reversed(frames) if str(REPOSITORY) in frame.filename)
    return f"{type(error).__name__}: {error} ({Path(place.filename).name}:{place.lineno})"


ends: list[dict[str, str]] = []
"""What became of the native reader of this case, if it wrote nothing."""


def run_in_fork(worker: str, model: str, folder: str) -> str:
    """What apart.run_process does, without starting Python and importing the packages again."""
    child = os.fork()
    if not child:
        signal.alarm(LONGEST)
        try:
            module = importlib.import_module(f"character3d.pipeline.formats.reading.{worker}")
            module.main(model, folder)
        except BaseException as error:  # noqa: BLE001
            Path(folder, "error").write_text(describe(error))
        os._exit(0)
    _, status = os.waitpid(child, 0)
    said = Path(folder, "error")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        outcome = "found" if number == signal.SIGALRM else "refused"
        ends.append({"outcome": outcome, "error": f"{worker} ended by signal {number}"})
    elif said.exists():
        ends.append({"outcome": "found", "error": f"{worker}: {said.read_text()}"})
    return ""


def change(source: Path, choose: random.Random) -> bytes:
    """Change a file as its kind suggests, or its bytes whatever it is."""
    data, suffix = source.read_bytes(), source.suffix.lower()
    if choose.random() < 0.2:
        return change_bytes(data, choose)
    if data[:4] == b"glTF":
        length = struct.unpack_from("<I", data, 12)[0]
        tree, rest = json.loads(data[20 : 20 + length]), data[20 + length :]
        rest = change_bytes(rest, choose) if choose.random() < 0.2 else rest
        return pack_glb(change_tree(tree, choose), rest)
    if suffix == ".gltf":
        return json.dumps(change_tree(json.loads(data), choose)).encode()
    if suffix == ".fbx" and data.startswith(b"Kaydara"):
        nodes = read_tree(data)
        change_nodes(nodes, choose)
        return encode_tree(nodes) if choose.random() < 0.5 else write_text(nodes)
    if suffix.startswith(".usd") and choose.random() < 0.8:
        return importlib.import_module("fuzz_usd").change_stage(source, choose)
    if data[:4] == b"PK\x03\x04":
        return change_archive(data, choose)
    texts = (b"ply\nformat ascii", b"solid", b"; FBX")
    if suffix in (".obj", ".off", ".usda") or data.startswith(texts):
        return change_text(data, choose)
    return change_bytes(data, choose)


def change_bytes(data: bytes, choose: random.Random) -> bytes:
    changed = bytearray(data)
    for _ in range(choose.choice((1, 1, 1, 2, 8))):
        start = choose.randrange(len(changed) + 1)
        if choose.random() < 0.5:
            start = min(start, choose.randrange(1, 2000))  # headers decide more
        end = start + choose.choice((0, 1, 1, 2, 4, 16, 256))
        new = choose.choice((
            choose.randbytes(end - start),
            b"\0" * (end - start),
            b"\xff" * (end - start),
            b"",
            choose.randbytes(choose.randrange(8)),
            bytes(changed[end : end + choose.randrange(64)]),
        ))  # fmt: skip
        changed[start:end] = new
        if choose.random() < 0.05:
            del changed[choose.randrange(len(changed) + 1) :]
    return bytes(changed)


def change_text(data: bytes, choose: random.Random) -> bytes:
    lines = data.split(b"\n")
    for _ in range(choose.choice((1, 1, 2, 5))):
        place = choose.randrange(len(lines))
        if choose.random() < 0.3:
            place = min(place, choose.randrange(12))
        action = choose.randrange(5)
        if action == 0:
            lines[place] = lines[choose.randrange(len(lines))]
        elif action == 1:
            lines[place : place + choose.choice((1, 1, 5))] = []
            lines = lines or [b""]
        else:
            parts = lines[place].split(b" ")
            parts[choose.randrange(len(parts))] = choose.choice(WORDS)
            lines[place] = b" ".join(parts)
    return b"\n".join(lines)


def change_archive(data: bytes, choose: random.Random) -> bytes:
    """Change one file of a ZIP archive."""
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        held = {name: archive.read(name) for name in archive.namelist()}
    name = choose.choice(sorted(held, key=len, reverse=True)[:2])
    pieces = held[name].replace(b"<", b"\n<").replace(b'"', b' " ')
    is_text = held[name][:1] == b"<"
    held[name] = change_text(pieces, choose) if is_text else change_bytes(held[name], choose)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for inner, content in held.items():
            archive.writestr(inner, content)
    return packed.getvalue()


def change_tree(tree: Any, choose: random.Random) -> Any:
    """A JSON tree with a few of its values replaced, removed or copied."""
    changed = copy.deepcopy(tree)
    for _ in range(choose.choice((1, 1, 1, 2, 4))):
        places = list(list_places(changed))
        if not places:
            return changed
        owner, key = choose.choice(places)
        action = choose.random()
        if action < 0.15:
            del owner[key]
        elif action < 0.3:
            other, name = choose.choice(places)
            owner[key] = copy.deepcopy(other[name])
        elif action < 0.45 and isinstance(owner[key], int):
            owner[key] += choose.choice((-1, 1, 2, -1000, 1000))
        else:
            owner[key] = copy.deepcopy(choose.choice(VALUES))
    return changed


def list_places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON tree with each of its keys."""
    for key in range(len(tree)) if isinstance(tree, list) else list(tree):
        yield tree, key
        if isinstance(tree[key], (list, dict)):
            yield from list_places(tree[key])


if __name__ == "__main__":
    main()
