"""Folders of the repository that tests use."""

from __future__ import annotations

import os
from pathlib import Path

MAKERS = Path(__file__).parent
TESTS = MAKERS.parent
ROOT = TESTS.parent
WORKFLOWS = ROOT / "workflows"

PYTHONPATH = os.pathsep.join(filter(None, (str(MAKERS), os.environ.get("PYTHONPATH"))))
"""The environment variable for subprocesses that import modules of this folder."""
