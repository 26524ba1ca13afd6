"""Who has the GPU now, in the inline cluster, and what a stage leaves there reaches the report, the page and the tracker."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from toy import ToySampler, ToyTrainer, make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.cluster.hand_over import hand_over, left_on_gpu
from selfimprove.records import Stage
from selfimprove.reports.html_report import write_html
from selfimprove.storage.run_folder import RunFolder
from selfimprove.tracking.figures import of_report

DID: list[str] = []


@dataclass(frozen=True)
class Resting(ToySampler):
    """Remembers that it rested."""

    def open(self) -> Resting:
        return self

    def rest(self, same_weights: bool = False) -> None:
        DID.append(f"rest {same_weights}")


def test_the_sampler_rests_before_another_part_opens_and_only_if_it_is_open() -> None:
    DID.clear()
    cluster = InlineCluster()
    assert hand_over(cluster, "trainer", ToyTrainer()) and not DID
    cluster.open("sampler", Resting())
    hand_over(cluster, "trainer", ToyTrainer())
    hand_over(cluster, "embedder", ToyTrainer(gain=0.1), same_weights=True)
    assert DID == ["rest False", "rest True"]
    assert left_on_gpu(cluster, "trainer") is None and left_on_gpu(cluster, "nobody") is None


@pytest.mark.parametrize("left", [None, 0, 5 << 30])
def test_what_a_training_leaves_on_a_gpu_is_a_figure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, left: int | None) -> None:
    monkeypatch.setattr("selfimprove.cluster.inline.held", lambda: left)
    improve(toy_workflow(make_toy_model(tmp_path / "model", 0.2), generations=1), tmp_path / "run", InlineCluster)
    run = RunFolder(tmp_path / "run")
    report = run.reports()[1]
    figures = {name: value for name, value in of_report(report).items() if name.startswith("gpu_memory_left")}
    page = Path(write_html(run)["file"]).read_text()
    assert report.gpu_memory_left == ({} if left is None else {Stage.TRAIN: left})
    assert figures == ({} if left is None else {"gpu_memory_left/train": float(left)})
    assert (f'"gpu_memory_left": {{"train": {left}}}' in page) == (left is not None)
