"""Seconds from a trained candidate on disk to its first trace, in a warm engine: hash, reload in place, sample."""

from __future__ import annotations

import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import VLLM, PlainQuestion, RayCluster, Sampling
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.protocols import Cluster
from selfimprove.records import Problem
from selfimprove.sampling.sampling import requests_for
from selfimprove.sampling.stream import stream_traces

REPEATS = 3
SAMPLER = VLLM(engine={"max_model_len": 512})
QUESTION = [Problem("p", "What is 2 + 3?", "5", "benchmark")]


def changed(model: Path, folder: Path) -> Path:
    """Copy the model with the sign of its last norm flipped: the same shape, but it writes something else."""
    from safetensors.torch import load_file, save_file

    shutil.copytree(model, folder)
    for file in folder.glob("*.safetensors"):
        weights = load_file(file)
        save_file({name: -tensor if name == "model.norm.weight" else tensor for name, tensor in weights.items()}, file, {"format": "pt"})
    return folder


def first_trace(folder: Path, name: str, cluster: Cluster, tokens: int = 1) -> tuple[float, str]:
    """Return the seconds until a trace of `tokens` tokens arrives, and its text."""
    begin = time.perf_counter()
    checkpoint = describe_folder(folder, name)
    requests = requests_for(QUESTION, PlainQuestion(), Sampling(n=1, temperature=0.0, max_tokens=tokens), f"{name}-{begin}")
    (traces,) = stream_traces(SAMPLER, checkpoint, [requests], cluster)
    return time.perf_counter() - begin, traces[0].text


def main(model: str = "smollm2-135m-instruct") -> list[Figure]:
    """Print the time of a switch and of an engine start. Raises RuntimeError if a switch leaves the old weights in place."""
    folder = Path(model) if Path(model).is_dir() else resolve_model(model)
    switched, stayed = [], []
    with tempfile.TemporaryDirectory() as scratch, RayCluster() as cluster:
        candidates = {"one": folder, "other": changed(folder, Path(scratch) / "other")}
        started, _ = first_trace(folder, "one", cluster)
        texts = {name: first_trace(place, name, cluster, 8)[1] for name, place in candidates.items()}
        if texts["one"] == texts["other"]:
            raise RuntimeError(f"both models write {texts['one']!r}: the weights were not reloaded")
        for _ in range(REPEATS):
            for name, place in candidates.items():
                switched.append(first_trace(place, name, cluster)[0])
                stayed.append(first_trace(place, name, cluster)[0])
    print(describe_machine())
    print(f"switching between two models the size of {model}: {', '.join(f'{one:.2f}' for one in switched)} s (target: 5 or less)")
    print(f"  the same model again: {statistics.median(stayed):.2f} s (median); engine start: {started:.1f} s")
    note = f"hash, reload, first token; engine start {started:.0f} s"
    return [figure("generation switch, 135M weights", "≤ 5 s", switched, "python -m benchmarks.switching", "s", note)]


if __name__ == "__main__":
    hand_on(main(*sys.argv[1:2]))
