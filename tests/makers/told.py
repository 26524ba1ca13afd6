"""Two toy runs logged to one real MLflow store, for tests of what a run leaves there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, MLflow, Sampling, improve
from selfimprove.records import Checkpoint, Request, Trace


@dataclass(frozen=True)
class Musing(ToySampler):
    """Plans in every trace, and reflects in right ones."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for (trace,) in super().sample(checkpoint, requests):
            again = "\nWait, is that right? Yes.\n</think>\n" if "-1" not in trace.text else "\n</think>\n"
            text = trace.text.replace("<think>\n", "<think>\nOkay, so I need to add two numbers.\n").replace("\n</think>\n", again)
            yield [replace(trace, text=text)]


@dataclass(frozen=True)
class Told:
    """An MLflow store and the runs in it."""

    uri: str
    folders: tuple[Path, Path]
    """The folders of two runs with the same name; exemplars help the second one's sampler more."""

    def tell(self, number: int) -> None:
        """Run or continue run `number`."""
        folder = self.folders[number]
        workflow = toy_workflow(
            folder.parent / "model",
            problems=Sums(60),
            sampler=Musing(help=(0.2, 0.4)[number]),
            eval_sampling=Sampling(n=4, temperature=0.8, max_tokens=32),
            answer_only_baseline=False,
        )
        improve(workflow, folder, InlineCluster, MLflow(uri=self.uri, experiment="toys", traces=6))


def tell_two(root: Path) -> Told:
    """Two finished toy runs in a new store in this folder."""
    make_toy_model(root / "model", 0.2)
    campaigns = Told(f"sqlite:///{root / 'mlflow.db'}", (root / "first", root / "second"))
    for number in (0, 1):
        campaigns.tell(number)
    return campaigns
