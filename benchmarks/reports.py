"""How often a quality report's warning is right: python benchmarks/reports.py OUT.

OUT is what pictures.py wrote. `look_at` of pictures_truth.json names, for each picture, what a person saw in
its sheet, its clips and its texture that deserves a warning: by code, as in pipeline/quality/limits.py. Every
second picture of the sorted list is TUNE: limits were set on those alone. The others are HELD.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parent.parent
_spec = importlib.util.spec_from_file_location(
    "character3d", _REPOSITORY / "__init__.py", submodule_search_locations=[str(_REPOSITORY)]
)
sys.modules.setdefault("character3d", importlib.util.module_from_spec(_spec))

from character3d.pipeline.quality import LIMITS  # noqa: E402

_TRUTHS = Path(__file__).with_name("pictures_truth.json")


def read_cases(folder: Path) -> Iterator[tuple[str, str, set[str], dict[str, Any]]]:
    """(TUNE or HELD, name, codes that are deserved, report) of each judged picture that has a report."""
    truths = json.loads(_TRUTHS.read_text(encoding="utf-8"))
    judged = sorted(name for name, truth in truths.items() if "look_at" in truth)
    for number, name in enumerate(judged):
        stem = name.rsplit(".", 1)[0]
        for path in (folder / "files" / stem).glob("report_*.json"):
            report = json.loads(path.read_text(encoding="utf-8"))
            share = "HELD" if number % 2 else "TUNE"
            yield share, stem, set(truths[name]["look_at"]), report


def find_codes(report: dict[str, Any]) -> set[str]:
    """The warnings that the report's figures make with the limits as they are now."""
    values = {limit.code: (report[limit.part] or {}).get(limit.name) for limit in LIMITS}
    return {limit.code for limit in LIMITS if (v := values[limit.code]) is not None and limit.is_crossed(v)}


def main() -> None:
    """Print what was right, wrong and missed of each picture, and the counts of each code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("out", type=Path)
    counts: Counter[tuple[str, str, str]] = Counter()
    for share, name, deserved, report in read_cases(parser.parse_args().out):
        found = find_codes(report)
        told = {"right": found & deserved, "wrong": found - deserved, "missed": deserved - found}
        counts.update((share, code, how) for how, codes in told.items() for code in codes)
        counts[share, "pictures", "all"] += 1
        counts[share, "pictures", "without"] += not deserved
        counts[share, "pictures", "without, and warned"] += bool(found and not deserved)
        said = (f"{how}: {', '.join(sorted(codes)) or '-'}" for how, codes in told.items())
        print(share, f"{name:20}", *said)
    for (share, code, how), count in sorted(counts.items()):
        print(f"{share} {code:18} {how:20} {count}")


if __name__ == "__main__":
    main()
