"""Run every benchmark in turn and write one table: `make bench`, or `python -m benchmarks NAME…` for some of them.

Earlier results stay in the table, each with the machine on which it was measured.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.figures import MARK, Figure, number, taken
from benchmarks.machine import describe_machine

NAMES = (
    "sampling",
    "training",
    "budget_forcing",
    "allocation",
    "verifying",
    "starting",
    "switching",
    "driver_memory",
    "simulated_actors",
    "overlap",
    "naive",
)
FOLDER = Path(__file__).parent
HEAD = """# How fast is it?

`make bench` measures all of this again, `python -m benchmarks NAME` a part of it. Alternatives are measured in turns, A B A B. A figure is the
median, with minimum and maximum if it was measured more than once. [scaling.md](scaling.md) predicts what more machines would bring.

| figure | target | measured | command |
|---|---|---|---|
"""


def measure(name: str) -> list[Figure]:
    """Run one benchmark in a separate process, so that its threads and memory do not disturb the next, and print its output.

    Raises CalledProcessError if it fails.
    """
    lines: list[str] = []
    with subprocess.Popen([sys.executable, "-u", "-m", f"benchmarks.{name}"], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            lines.append(line)
            if not line.startswith(MARK):
                print(line, end="", flush=True)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, name)
    return taken(lines)


def table(results: Sequence[tuple[Figure, str]]) -> str:
    """Return the page; each machine is named once, below the rows."""
    machines = list(dict.fromkeys(where for _, where in results))
    rows = []
    for one, where in results:
        spread = f" ({number(one.low)} to {number(one.high)}, {one.repeats} times)" if one.repeats > 1 else ""
        told = f"{'**' if one.met else ''}{number(one.measured)}{'**' if one.met else ''}{' ' + one.unit if one.unit else ''}{spread}"
        note = f"; {one.note}" if one.note else ""
        rows.append(f"| {one.name} | {one.aim or '—'} | {told}{note} [{machines.index(where) + 1}] | `{one.command}` |")
    return HEAD + "\n".join(rows) + "\n\nBold: target met.\n\n" + "\n".join(f"{place}. {where}" for place, where in enumerate(machines, 1)) + "\n"


def main(names: Sequence[str]) -> int:
    """Measure, and write `results.json` and `RESULTS.md` after each benchmark; return 1 if one of them failed."""
    file, failed = FOLDER / "results.json", []
    for name in names or NAMES:
        kept = json.loads(file.read_text()) if file.exists() else {}
        print(f"== {name}", flush=True)
        try:
            figures = measure(name)
        except subprocess.CalledProcessError as error:
            failed.append(f"{name} ({error.returncode})")
            continue
        where = f"{describe_machine()}; {datetime.now(UTC):%Y-%m-%d}"
        kept[name] = {"machine": where, "figures": [asdict(one) for one in figures]}
        file.write_text(json.dumps(kept, indent=1, ensure_ascii=False) + "\n")
        results = [(Figure(**one), kept[each]["machine"]) for each in NAMES if each in kept for one in kept[each]["figures"]]
        (FOLDER / "RESULTS.md").write_text(table(results))
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
