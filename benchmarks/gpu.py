"""Everything that is measured on one GPU: `python -m benchmarks.gpu`, at most ten minutes on an H200.

Each step runs in a process of its own with a time limit. The table `benchmarks/GPU.md` is written after each step; one that fails or is ended leaves
a line that says so. `--only` chooses steps; earlier results of the others stay. `--cpu` runs the same steps on tiny models and writes no table.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, hand_on, number, taken
from benchmarks.gpu_models import SHAPES
from benchmarks.gpu_sampling import TOKENS
from benchmarks.gpu_steps import NEED_VLLM, STEPS

HEAD = """# How fast is it on one GPU?

`python -m benchmarks.gpu` measures this, and `--only STEP` a part of it. Models have random weights in the shapes of SmolLM2-135M and Qwen2.5-1.5B.

| figure | target | measured | command |
|---|---|---|---|
"""


def run_step(command: Sequence[str], limit: float) -> tuple[list[Figure], str]:
    """Run a command, and end it with everything that it started after `limit` seconds. Returns its figures, and what went wrong; empty if nothing."""
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            code: int | None = process.wait(limit)
        except subprocess.TimeoutExpired:
            code = None
        # An engine of its own may outlive the step.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        output.seek(0)
        lines = output.readlines()
    last = next((line.strip() for line in reversed(lines) if line.strip()), "it printed nothing")
    failed = "" if code == 0 else f"ended after {limit:.0f} s" if code is None else f"failed with exit code {code}: {last[:200]}"
    return taken(lines), failed


def ratios(figures: Mapping[str, Figure]) -> Iterator[Figure]:
    """Yield figures that follow from those of several steps, as far as these are there."""

    def divided(name: str, aim: str, above: str, below: str, command: str, scale: float = 1.0) -> Iterator[Figure]:
        one, other = figures.get(above), figures.get(below)
        if one and other:
            value = scale * one.measured / other.measured
            note = f"{number(one.measured)} and {number(other.measured)} {other.unit}"
            yield replace(one, name=name, aim=aim, measured=value, low=value, high=value, repeats=1, unit="", command=command, note=note)

    for model in ("135M", "1.5B"):
        for tokens in TOKENS:
            sampled = f"{model}: sampled tokens/s {{}}, {tokens:,} tokens"
            name = f"{model}: sampled tokens/s in the loop ÷ bare vLLM, {tokens:,} tokens"
            yield from divided(name, "≥ 0.95", sampled.format("in the loop"), sampled.format("of bare vLLM"), f"… loop-{model} bare-{model}")
    told = "135M: seconds of a GRPO step, rollouts by the {}"
    yield from divided(
        "135M: GRPO step, rollouts by the trainer ÷ by the sampler",
        "≥ 4",
        told.format("trainer"),
        told.format("sampler"),
        "… grpo-sampler grpo-trainer",
    )
    rows = "135M, 32 rows of up to 512 tokens: "
    told = f"{rows}trained tokens/s ÷ tuned stock `SFTTrainer`"
    yield from divided(told, "≥ 1.3", f"{rows}trained tokens/s", f"{rows}tokens/s of tuned stock `SFTTrainer`", "… train-135M-512 stock-135M-512")
    rows, work = "1.5B, 8 rows of up to 2,048 tokens: ", 6 * SHAPES["1.5B"].parameters / 1e12
    share = divided(f"{rows}share of the bf16 matmul peak", "≥ 0.45", f"{rows}trained tokens/s", "bf16 matmul peak", "… matmul train-1.5B-2048", work)
    yield from share


def page(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the table of all steps, and the steps that brought no figures."""
    places = list(dict.fromkeys(one["machine"] for one in results.values()))
    by_name = {figure.name: (figure, one["machine"]) for one in results.values() for figure in (Figure(**each) for each in one["figures"])}
    rows = []
    for figure, where in [*((one, "") for one in ratios({name: one for name, (one, _) in by_name.items()})), *by_name.values()]:
        mark, unit = "**" if figure.met else "", f" {figure.unit}" if figure.unit else ""
        note, place = f"; {figure.note}" if figure.note else "", f" [{places.index(where) + 1}]" if where else ""
        rows.append(f"| {figure.name} | {figure.aim or '—'} | {mark}{number(figure.measured)}{mark}{unit}{note}{place} | `{figure.command}` |")
    failures = [f"* `{name}` {one['failed']} [{places.index(one['machine']) + 1}]" for name, one in results.items() if one["failed"]]
    missing = [f"* `{name}` has not been run" for name in STEPS if name not in results]
    below = "\n\nBold: target met.\n" + "".join(f"\n{line}" for line in [*failures, *missing])
    return HEAD + "\n".join(rows) + below + "\n\n" + "\n".join(f"{place}. {where}" for place, where in enumerate(places, 1)) + "\n"


def device() -> str:
    """Return the GPU and the versions in use; empty without a GPU."""
    import torch

    from benchmarks.machine import describe_machine

    if not torch.cuda.is_available():
        return ""
    total = torch.cuda.mem_get_info()[1]
    return f"{torch.cuda.get_device_name()}, {total / 2**30:.0f} GiB, CUDA {torch.version.cuda}; {describe_machine()}; {datetime.now(UTC):%Y-%m-%d}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return 0, 1 if a step failed, and 2 without a GPU."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--only", nargs="+", choices=STEPS, metavar="STEP", help=f"steps: {', '.join(STEPS)}")
    parser.add_argument("--cpu", action="store_true", help="run the steps small, without a GPU; those that need vLLM only if they are named")
    parser.add_argument("--seconds", type=float, default=590.0, help="time for all steps together")
    parser.add_argument("--models", type=Path, default=Path(tempfile.gettempdir()) / "selfimprove-random-models", help="folder for random models")
    parser.add_argument("--into", type=Path, help="folder of gpu.json and GPU.md; default: benchmarks/, and none with --cpu")
    parser.add_argument("--step", choices=STEPS, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.step:
        hand_on(STEPS[chosen.step][0](chosen.models, chosen.cpu))
        return 0
    where = device() or ("no GPU, tiny models: these figures say nothing" if chosen.cpu else "")
    if not where:
        print("no GPU is available here: run this where torch sees one, or add --cpu to see that every step works", file=sys.stderr)
        return 2
    into = chosen.into or (None if chosen.cpu else Path(__file__).parent)
    results: dict[str, Any] = json.loads((into / "gpu.json").read_text()) if into and (into / "gpu.json").exists() else {}
    print(where, flush=True)
    names, ends, failed = chosen.only or [name for name in STEPS if not (chosen.cpu and name in NEED_VLLM)], time.monotonic() + chosen.seconds, False
    for name in names:
        # A CPU needs longer to begin than a step on a GPU takes.
        limit = min(STEPS[name][1] * (5 if chosen.cpu else 1), ends - time.monotonic())
        if limit <= 0:
            figures, wrong = [], "was not begun: the time was up; name it with --only"
        else:
            command = [sys.executable, "-m", "benchmarks.gpu", "--step", name, "--models", str(chosen.models), *(["--cpu"] if chosen.cpu else [])]
            figures, wrong = run_step(command, limit)
        failed = failed or bool(wrong)
        for one in figures:
            print(f"{one.name}: {number(one.measured)} {one.unit}{f' ({one.note})' if one.note else ''}", flush=True)
        if wrong:
            print(f"{name} {wrong}", flush=True)
        # A step that failed keeps no earlier figures: they are of another state of things.
        results[name] = {"machine": where, "figures": [asdict(one) for one in figures], "failed": wrong}
        if into:
            (into / "gpu.json").write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n")
            (into / "GPU.md").write_text(page(results))
    for one in ratios({figure.name: figure for each in results.values() for figure in (Figure(**item) for item in each["figures"])}):
        print(f"{one.name}: {number(one.measured)} ({one.note})", flush=True)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
