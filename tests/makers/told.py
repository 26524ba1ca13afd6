"""Two toy campaigns in one real MLflow store, for the tests that look at what a campaign leaves there."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from toy import Sums, ToySampler, make_toy_model, toy_workflow

from selfimprove import InlineCluster, MLflow, Sampling, improve
from selfimprove.records import Checkpoint, Request, Trace


@dataclass(frozen=True)
class Musing(ToySampler):
    """Plans, and looks twice where it is right."""

    def sample(self, checkpoint: Checkpoint, requests: Sequence[Request]) -> Iterator[list[Trace]]:
        for (trace,) in super().sample(checkpoint, requests):
            again = "\nWait, is that right? Yes.\n</think>\n" if "-1" not in trace.text else "\n</think>\n"
            text = trace.text.replace("<think>\n", "<think>\nOkay, so I need to add two numbers.\n").replace("\n</think>\n", again)
            yield [replace(trace, text=text)]


@dataclass(frozen=True)
class Told:
    """A store and the campaigns in it."""

    uri: str
    folders: tuple[Path, Path]
    """Of two campaigns of one name: the second one's sampler gets more help from the exemplars."""

    def tell(self, number: int) -> None:
        """Run the campaign, or continue it."""
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
    """Two toy campaigns in a new store in this folder."""
    make_toy_model(root / "model", 0.2)
    campaigns = Told(f"sqlite:///{root / 'mlflow.db'}", (root / "first", root / "second"))
    for number in (0, 1):
        campaigns.tell(number)
    return campaigns
