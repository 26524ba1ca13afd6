"""The pages of two toy runs, as MLflow's own server shows them in a fresh browser."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import psutil
import pytest
from told import Told
from toy import make_toy_model, toy_workflow

from selfimprove import InlineCluster, MLflow, improve
from selfimprove.tracking.mlflow_address import link_to

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Locator, LocatorAssertions, Page


@pytest.fixture(scope="module")
def server(told: Told, browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of an MLflow server for the store; `browser` comes first, so that no server starts where there is no browser."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    quiet = {**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false", "MLFLOW_DISABLE_TELEMETRY": "true"}
    line = [sys.executable, "-m", "mlflow", "server", "--backend-store-uri", told.uri, "--host", "127.0.0.1", "--port", str(port), "--workers", "1"]
    folder = tmp_path_factory.mktemp("server")
    with (folder / "server.log").open("wb") as log:
        process = subprocess.Popen(line, env=quiet, cwd=folder, stdout=log, stderr=log)  # artifacts of the server's own go to where it runs
        try:
            wait_for(f"http://127.0.0.1:{port}", process)
            yield f"http://127.0.0.1:{port}"
        finally:
            for one in (*psutil.Process(process.pid).children(recursive=True), process):
                one.kill()
            process.wait()


def wait_for(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + 500
    while time.monotonic() < until:
        assert process.poll() is None, "the MLflow server did not start"
        try:
            urllib.request.urlopen(f"{url}/health", timeout=5)
            return
        except OSError:
            time.sleep(0.3)
    raise AssertionError("the MLflow server did not answer")


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    context = browser.new_context(viewport={"width": 1440, "height": 1600})
    yield context.new_page()
    context.close()


def until(locator: Locator) -> LocatorAssertions:
    """Wait for what is asserted of the locator."""
    from playwright.sync_api import expect

    expect.set_options(timeout=120_000)
    return expect(locator)


def ids(folder: Path) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / "mlflow.json").read_text())
    return found


def test_the_link_of_a_run_opens_charts_with_a_line_for_each_run(server: str, page: Page, told: Told) -> None:
    page.goto(link_to(server, ids(told.folders[0])["experiment_id"]))
    until(page.get_by_text("2 matching runs")).to_be_visible()
    until(page.get_by_text("generations(8)")).to_be_visible()
    until(page.locator("svg.main-svg").first).to_be_visible()
    text = page.inner_text("body")
    for title in ("pass@1", "Accepted share", "Tokens per trace", "Behaviours"):
        assert title in text
    assert " vs " not in text
    for run in ("toy first", "toy second"):
        assert f"{run} (1_evaluation/pass_at_1)" in text
        assert f"{run} (4_behaviours/revision_share)" in text
    assert "generation 1 (" not in text, "single generations would be mere dots in these charts"
    assert page.get_by_text("Error loading shared view").count() == 0


def test_the_page_of_a_run_shows_the_description_and_its_charts_begin_with_the_evaluation(server: str, page: Page, told: Told) -> None:
    known = ids(told.folders[0])
    page.goto(f"{server}/#/experiments/{known['experiment_id']}/runs/{known['run_id']}")
    until(page.get_by_text("pass@1 on 15 evaluation problems")).to_be_visible()
    until(page.get_by_text(re.compile(r"pass@1 0\.\d+ → 0\.\d+$")).first).to_be_in_viewport()
    until(page.get_by_role("columnheader", name="95 % interval")).to_be_visible()
    until(page.get_by_role("link", name="toy first generation 2")).to_be_visible()
    page.get_by_role("tab", name="Model metrics").click()
    until(page.get_by_text("1_evaluation(9)")).to_be_visible()
    until(page.locator("svg.main-svg").first).to_be_visible()
    sections = re.findall(r"^(\w+)\s*\(\d+\)$", page.inner_text("body"), flags=re.MULTILINE)
    assert sections[:6] == ["1_evaluation", "2_traces", "3_thinking", "4_behaviours", "5_seconds", "6_tokens"]


def test_the_registered_model_shows_its_versions_and_which_is_champion(server: str, page: Page, told: Told) -> None:
    page.goto(f"{server}/#/models/toy_first")
    until(page.get_by_role("row", name="Version 2").get_by_text("champion")).to_be_visible()
    until(page.get_by_role("row", name="Version 3").get_by_text("parent_version: 1")).to_be_visible()
    until(page.get_by_text("champion")).to_have_count(1)


def test_a_generation_shows_its_traces_thought_by_thought(server: str, page: Page, told: Told) -> None:
    from mlflow import MlflowClient

    known = ids(told.folders[0])
    query = f"tags.`mlflow.parentRunId` = '{known['run_id']}' and params.generation = '2'"
    (run,) = MlflowClient(told.uri).search_runs([known["experiment_id"]], query)
    page.goto(f"{server}/#/experiments/{known['experiment_id']}/runs/{run.info.run_id}/traces")
    until(page.get_by_text("6 of 6")).to_be_visible()
    page.get_by_text("What is").first.click()
    for name in ("plan", "step", "verify"):
        until(page.get_by_text(name, exact=True).first).to_be_visible()


def test_the_accepted_traces_are_a_table(server: str, page: Page, told: Told) -> None:
    from mlflow import MlflowClient

    known = ids(told.folders[0])
    query = f"tags.`mlflow.parentRunId` = '{known['run_id']}' and params.generation = '1'"
    (run,) = MlflowClient(told.uri).search_runs([known["experiment_id"]], query)
    page.goto(f"{server}/#/experiments/{known['experiment_id']}/runs/{run.info.run_id}/artifacts/accepted.json")
    until(page.get_by_role("columnheader", name="completion")).to_be_visible()
    until(page.get_by_text("What is").first).to_be_visible()


def test_a_run_that_is_logged_through_a_server_leaves_the_same_but_for_the_source_of_its_versions(server: str, tmp_path: Path) -> None:
    from mlflow import MlflowClient

    model, client = make_toy_model(tmp_path / "model", 0.2), MlflowClient(server)
    for _ in range(2):
        improve(toy_workflow(model, name="served", generations=1), tmp_path / "served", InlineCluster, MLflow(server, "served", traces=3))
    champion = client.get_model_version_by_alias("served", "champion")
    experiment_id = client.get_experiment_by_name("served").experiment_id
    (logged,) = client.search_logged_models([experiment_id], f"source_run_id = '{champion.run_id}'")
    assert (champion.version, champion.tags["generation"]) == ("2", "1") and champion.source == f"models:/{logged.model_id}"
    assert Path(champion.tags["path"]) == (tmp_path / "served" / "champion").resolve()
    found = client.search_traces(locations=[experiment_id])
    assert len(found) == 3 and {trace.data.spans[-1].name for trace in found} == {"verify"}
