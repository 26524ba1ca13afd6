"""Every measurement, one after another: `make bench`."""

from __future__ import annotations

import subprocess
import sys

for name in ("sampling", "budget_forcing", "training", "allocation"):
    # Each in a process of its own: threads and memory of one would disturb the next.
    subprocess.run([sys.executable, "-m", f"benchmarks.{name}"], check=True)
