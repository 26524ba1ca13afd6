"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import hypothesis
import pytest

if TYPE_CHECKING:
    from playwright.sync_api import Browser
    from told import Told

    from selfimprove.verification.pool import OpenVerifierPool

# No deadline: the first example may include an import.
hypothesis.settings.register_profile("full", deadline=None)
hypothesis.settings.register_profile("quick", deadline=None, max_examples=20)
hypothesis.settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "full"))

# Each xdist worker, with every process that it starts, keeps to one core: spinning threads of two workers on the same cores would slow both
# down many times over.
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    cores = sorted(os.sched_getaffinity(0))
    os.sched_setaffinity(0, {cores[int(worker.removeprefix("gw")) % len(cores)]})

# With --import-mode=importlib, pytest does not add this folder to sys.path.
sys.path.insert(0, str(Path(__file__).parent / "makers"))

MARKER_OF_FIXTURE = {"browser": "browser", "served": "vllm", "tiny_model": "torch"}
SLOWEST_FIRST = ("ray", "vllm", "browser", "trl", "slow")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark tests by the fixtures that start something slow or need torch; begin with the files that hold the slowest kinds of tests.

    Otherwise one worker of `make test` would still be busy with such a file for minutes after the others have ended.
    """
    ranks: dict[Path, int] = {}
    for item in items:
        for name in MARKER_OF_FIXTURE.keys() & set(getattr(item, "fixturenames", ())):
            item.add_marker(MARKER_OF_FIXTURE[name])
        rank = next((rank for rank, marker in enumerate(SLOWEST_FIRST) if item.get_closest_marker(marker)), len(SLOWEST_FIRST))
        ranks[item.path] = min(rank, ranks.get(item.path, rank))
    items.sort(key=lambda item: ranks[item.path])


@pytest.fixture(scope="session")
def exact_pool() -> Iterator[OpenVerifierPool]:
    """An open pool of `Exact` verifiers, which toy runs use."""
    from selfimprove import Exact
    from selfimprove.verification.pool import OpenVerifierPool, VerifierPool

    pool = OpenVerifierPool(VerifierPool(Exact()))
    yield pool
    pool.close()


@pytest.fixture(autouse=True)
def share_exact_pool(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let all toy runs in this process use one pool: starting one takes longer than the rest of a toy run.

    Tests of the pool itself, and tests that count processes, start their own.
    """
    if request.path.parent.name in ("verification", "confined", "faults", "cluster", "benchmarks"):
        return
    from selfimprove import Exact
    from selfimprove.verification.pool import VerifierPool

    open_own = VerifierPool.open

    def open_shared(self: VerifierPool) -> OpenVerifierPool | SimpleNamespace:
        if self != VerifierPool(Exact()):
            return open_own(self)
        pool: OpenVerifierPool = request.getfixturevalue("exact_pool")
        return SimpleNamespace(
            verify=pool.verify, verdicts=pool.verdicts, verify_answers=pool.verify_answers, reports=pool.reports, close=lambda: None
        )

    monkeypatch.setattr(VerifierPool, "open", open_shared)


@pytest.fixture
def untracked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run without MLflow, which adds several seconds to a toy run."""
    from untracked import leave_out_mlflow

    leave_out_mlflow(monkeypatch)


@pytest.fixture
def tracked_if_slow(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands run with MLflow, in one store, only in tests marked slow."""
    if request.node.get_closest_marker("slow"):
        monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path_factory.getbasetemp() / 'mlflow.db'}")
    else:
        request.getfixturevalue("untracked")


@pytest.fixture(scope="session")
def tiny_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama that transformers and vLLM load; do not write into it."""
    from tiny_model import make_tiny_model

    return make_tiny_model(tmp_path_factory.mktemp("tiny") / "model")


@pytest.fixture(scope="session")
def documented(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the documentation names, such as the run `runs/quickstart`; do not write into it."""
    from documented import make_documented_folder

    return make_documented_folder(tmp_path_factory.mktemp("documented"), tiny_model)


@pytest.fixture(scope="session")
def published(tiny_model: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The export of a run whose champion has memorized one answer; do not write into it."""
    from published import publish

    return publish(tiny_model, tmp_path_factory.mktemp("published"))


@pytest.fixture(scope="session")
def served(published: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The published model on a vLLM server: the address up to `/v1`, and the model folder, which is also its name there."""
    from vllm_server import vllm_server

    with vllm_server(published / "model", tmp_path_factory.mktemp("served") / "server.log", "--reasoning-parser", "hf") as url:
        yield url, published / "model"


@pytest.fixture(scope="session")
def told(tmp_path_factory: pytest.TempPathFactory) -> Told:
    """An MLflow store with two finished toy runs."""
    from told import tell_two

    return tell_two(tmp_path_factory.mktemp("told"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A headless Chromium: the system's, or the one that `playwright install chromium` fetches.

    It lives for one module: after some minutes it starts helper processes, which would confuse tests that count processes.
    """
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: it comes with the dev extra")
    with sync_api.sync_playwright() as playwright:
        here = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), playwright.chromium.executable_path)
        if not Path(here).exists():
            pytest.skip("no Chromium found: install one, or run `playwright install chromium`")
        # Chromium's sandbox does not start as root, nor in most containers; the pages are our own.
        started = playwright.chromium.launch(executable_path=here, args=["--no-sandbox"])
        yield started
        started.close()
