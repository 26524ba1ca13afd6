"""Seeds derived from names, so that randomness never depends on order or on earlier work."""

from __future__ import annotations

import hashlib


def derive_seed(*names: object) -> int:
    """A number below 2**48 from names, such as `derive_seed(run_seed, generation, problem_id, sample)`; the same in every process."""
    text = "\x1f".join(str(name) for name in names)
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:6], "big")
