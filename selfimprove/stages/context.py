"""What the stages of a run share, opened by one function."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_form import notes
from selfimprove.checkpoints.empty_block import require_switchable
from selfimprove.checkpoints.folders import describe_folder
from selfimprove.checkpoints.unseen_tokens import never_seen, unseen_turn_tokens
from selfimprove.problems.sets import load_sets
from selfimprove.protocols import Cluster, OpenTracker, Progress
from selfimprove.protocols.no_tracker import NoTracker
from selfimprove.protocols.trackers import Trackers, open_trackers
from selfimprove.records import Checkpoint, Problem
from selfimprove.sampling.vllm_engine import VLLM, require_vllm
from selfimprove.selection.contamination import EvalIndex
from selfimprove.settings.paths import describe
from selfimprove.storage.open_run import writing
from selfimprove.storage.run_folder import RunFolder
from selfimprove.terminal.progress import NoProgress
from selfimprove.workflow.decontaminate import decontaminated
from selfimprove.workflow.general import require_general
from selfimprove.workflow.roles import roles
from selfimprove.workflow.workflow import Workflow


@dataclass(frozen=True, kw_only=True)
class RunContext:
    """A workflow, where it runs, and what its stages start from. `open_run_context` makes one for a run, `of_finished_run` one for a study."""

    workflow: Workflow
    run: RunFolder
    cluster: Cluster
    base: Checkpoint
    problems: Sequence[Problem]
    """Problems to learn from, without those that give an evaluation problem away, and without those of single generations: `known` has them."""
    eval_problems: Sequence[Problem]
    """Problems of the evaluation."""
    test_problems: Sequence[Problem] = ()
    """Problems of the final test; empty without one."""
    guards: Mapping[str, Sequence[Problem]] = field(default_factory=dict)
    """Problems of the workflow's guards, by name."""
    verifier_role: str = "verifier"
    """The role of the workflow's verifier on the cluster."""
    eval_index: EvalIndex | None = None
    """Index of the evaluation's questions, which keeps them out of the training rows; None where nothing is compared."""
    tracker: OpenTracker = field(default_factory=NoTracker)
    progress: Progress = field(default_factory=NoProgress)
    predicted: Mapping[str, float] = field(default_factory=dict)
    """Predicted solve rates of this generation's problems, by id."""

    def of_generation(self, number: int) -> RunContext:
        """The context with the settings of this generation's round."""
        return replace(self, workflow=self.workflow.of_generation(number))

    @property
    def known(self) -> dict[str, Problem]:
        """All problems to learn from by id, with those of the generations that have problems of their own, and those that were proposed."""
        return {problem.id: problem for problem in chain(self.run.proposed_problems(), *self.run.own_problems().values(), self.problems)}

    def here(self, checkpoint: Checkpoint) -> Checkpoint:
        """The same checkpoint with its path on this machine: each machine keeps the base model in a place of its own."""
        return self.base if checkpoint.id == self.base.id and checkpoint.weights_hash == self.base.weights_hash else checkpoint

    def rates(self, problems: Sequence[Problem]) -> dict[str, float]:
        """The predicted solve rates of these problems."""
        return {problem.id: self.predicted[problem.id] for problem in problems if problem.id in self.predicted}


@contextmanager
def open_run_context(
    workflow: Workflow,
    run_dir: Path | str | RunFolder,
    cluster: Callable[[], Cluster],
    tracker: Trackers = None,
    progress: Progress | None = None,
) -> Iterator[RunContext]:
    """Claim a run folder, load the problems and the base model, and open the cluster for the block.

    Every stage that is called with the context keeps its result in the run folder. The same program continues a run that was stopped: what is
    complete is read, the rest is made.

    Args:
        workflow: Which part plays each role.
        run_dir: A new or empty folder, or that of an earlier run of the same workflow: a path, a URL that fsspec knows (`s3://bucket/first`), or a
            `RunFolder` that is open already.
        cluster: Called once there is work: `RayCluster`, or `InlineCluster` for this process.
        tracker: Mirrors the run, such as `MLflow()`; several in a list; None for no tracking.
        progress: Shows the work; None for silence.

    Raises:
        UserError: The problems, the base model or the folder cannot be used, or vLLM is not installed; the message says what to change.
    """
    with writing(run_dir) as run:
        if isinstance(workflow.sampler, VLLM):
            require_vllm()
        progress = progress or NoProgress()
        sets = load_sets(**workflow.sets)
        if workflow.drift:
            # Report an unreadable text now, not after the first evaluation.
            workflow.drift.read()
        require_general(workflow)
        clean, index = decontaminated(workflow, sets)
        base = describe_folder(resolve_model(workflow.base_model, workflow.chat_template, isinstance(workflow.sampler, VLLM)), "base")
        if workflow.direct_share:
            require_switchable(base.path, workflow.delimiters)
        settings = describe(workflow)
        continued = run.claim(settings)
        run.save_problems("train", clean.training)
        run.save_problems("eval", sets.evaluation)
        counts = f"{len(clean.training)} problems, {len(sets.evaluation)} for evaluation"
        for number, problems in clean.own.items():
            run.save_problems(number, problems)
            counts += f", {len(problems)} of generation {number}"
        if sets.test:
            run.save_problems("test", sets.test)
            counts += f", {len(sets.test)} for the final test"
        for name, problems in sets.guards.items():
            run.save_problems(f"guard-{name}", problems)
            counts += f", {len(problems)} for guard {name}"
        progress.say(f"{'continuing' if continued else 'run'} {workflow.name} in {run}: {counts}")
        told = notes(Path(base.path))
        if isinstance(workflow.sampler, VLLM) and (unseen := unseen_turn_tokens(Path(base.path))):
            told.append(never_seen(unseen, bool(getattr(workflow.trainer, "lora", None))))
        for note in told:
            progress.say(f"base model: {note}")
        if dropped := len(sets.learnable) - len(clean.learnable):
            given = " or ".join(["evaluation", *(["test"] if sets.test else []), *(["guard"] if sets.guards else [])])
            progress.say(f"{dropped} problems are left out: they give {given} problems away")
        opened = open_trackers(tracker, workflow.name, settings, run.root)
        status, place = "FAILED", cluster()
        try:
            place.expect(roles(workflow))
            for line in (opened.start() or "").splitlines():
                progress.say(line)
            yield RunContext(
                workflow=workflow,
                run=run,
                cluster=place,
                base=base,
                problems=clean.training,
                eval_problems=sets.evaluation,
                test_problems=sets.test,
                guards=sets.guards,
                eval_index=index,
                tracker=opened,
                progress=progress,
            )
            status = "FINISHED"
        except KeyboardInterrupt:
            status = "KILLED"
            raise
        finally:
            place.close()
            opened.finish(status)


def of_finished_run(run: RunFolder, workflow: Workflow, cluster: Cluster, tracker: Trackers = None, progress: Progress | None = None) -> RunContext:
    """The context of a study on a finished run: its champion is what the stages start from.

    Raises:
        UserError: The run has no champion yet, or the cluster can never hold a part of the workflow.
    """
    cluster.expect(roles(workflow))
    return RunContext(
        workflow=workflow,
        run=run,
        cluster=cluster,
        base=run.champion(),
        problems=run.problems("train"),
        eval_problems=run.problems("eval"),
        test_problems=run.problems("test"),
        tracker=open_trackers(tracker, workflow.name, run.settings(), run.root),
        progress=progress or NoProgress(),
    )
