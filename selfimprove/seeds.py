"""Seeds derived from names, so that what is random never depends on order or on what ran before."""

from __future__ import annotations

import hashlib


def derive_seed(*names: object) -> int:
    """A number below 2**48 from any names: `derive_seed(run_seed, generation, problem_id, sample)`; the same in every process."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
