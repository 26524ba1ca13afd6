"""Seconds that the command line takes to print `--help` and to check a workflow."""

from __future__ import annotations

import subprocess
import sys
import time

from benchmarks.figures import Figure, figure, hand_on

COMMANDS = {
    "selfimprove --help": (["--help"], "≤ 0.8 s", 7),
    "selfimprove check workflows/quickstart.py": (["check", "workflows/quickstart.py"], "≤ 20 s", 3),
}
"""Command: its arguments, the target, the number of repeats."""


def seconds(arguments: list[str]) -> float:
    """Time one command in a separate process."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "selfimprove", *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - begin


def main() -> list[Figure]:
    """Print both; the first start, which reads the files from disk, is not timed."""
    figures = []
    for name, (arguments, aim, repeats) in COMMANDS.items():
        seconds(arguments)
        taken = [seconds(arguments) for _ in range(repeats)]
        print(f"  {name}: {', '.join(f'{one:.2f}' for one in taken)} s (target: {aim})")
        figures.append(figure(name, aim, taken, "python -m benchmarks.starting", "s"))
    return figures


if __name__ == "__main__":
    hand_on(main())
