"""Sample ahead: the next generation's traces while a candidate trains, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace

from selfimprove.errors import WorkerFailed
from selfimprove.protocols import Cluster, Worker, WorkerPart
from selfimprove.records import Checkpoint, Stage
from selfimprove.stages.collect import sample_allocated, student_prompter
from selfimprove.stages.context import RunContext
from selfimprove.stages.draw import draw
from selfimprove.storage.stopwatch import Stopwatch


@contextmanager
def sampling_ahead(context: RunContext, later: RunContext, champion: Checkpoint, number: int) -> Iterator[None]:
    """Sample generation `number` during the block, which trains the generation before; the block ends when both are done.

    Nothing follows from the timing: where `Workflow.lag` says so, generation `number` is sampled from this champion, and what is not sampled here is
    sampled when its turn comes. If the block fails, sampling stops and keeps its complete shards. If sampling fails, the block goes on to its end,
    since a training cannot be continued in the middle; then the error is raised.

    Args:
        context: That of the generation in training.
        later: That of generation `number`.
        champion: The champion before the training.
    """
    workflow = later.workflow
    if number > workflow.generations or not workflow.lag(number):
        yield
        return
    pairs = context.workflow.preference_pairs
    trainers = [context.workflow.trainer, *([pairs.trainer] if pairs and pairs.trainer else [])]
    context.cluster.open("sampler", workflow.sampler)
    if not all(context.cluster.apart("sampler", trainer) for trainer in trainers):
        if not workflow.lag(number - 1):
            context.progress.say(
                "overlap=1 saves no time here, as sampler and trainer have no GPU each: they take turns, on traces one step off-policy"
            )
        yield
        return
    cluster = _Borrowed(later.cluster)
    with ThreadPoolExecutor(1, "sampling-ahead") as thread:
        sampling = thread.submit(_sample, replace(later, cluster=cluster), champion, number)
        sampling.add_done_callback(lambda done: _say_failure(context, cluster, done, number))
        try:
            yield
            sampling.result()
        except BaseException:
            cluster.take_back(workflow.sampler)
            raise


def _sample(context: RunContext, champion: Checkpoint, number: int) -> None:
    """As `collect` would."""
    folder = context.run.generation(number)
    with Stopwatch(folder / "seconds.json").time(Stage.SAMPLE):
        sample_allocated(context, champion, draw(context, number), student_prompter(context.workflow, number), folder, number)


def _say_failure(context: RunContext, cluster: _Borrowed, done: Future[None], number: int) -> None:
    if (error := done.exception()) and not cluster.taken_back:
        first = next(iter(str(error).splitlines()), type(error).__name__)
        context.progress.say(f"sampling generation {number} failed, and the run will end after this training: {first}")


@dataclass
class _Borrowed:
    """A cluster in another thread, until it is taken back."""

    cluster: Cluster
    taken_back: bool = False
    lock: threading.Lock = field(default_factory=threading.Lock)

    def open(self, role: str, part: WorkerPart) -> Worker:
        with self.lock:
            if self.taken_back:
                raise WorkerFailed(f"the run ended before the {role} was opened")
            return self.cluster.open(role, part)

    def expect(self, roles: Mapping[str, Sequence[WorkerPart]]) -> None:
        self.cluster.expect(roles)

    def opened(self, role: str) -> Worker | None:
        return self.cluster.opened(role)

    def prepare(self, role: str, part: WorkerPart) -> None:
        self.cluster.prepare(role, part)

    def end(self, part: WorkerPart) -> None:
        self.cluster.end(part)

    def apart(self, role: str, part: WorkerPart) -> bool:
        return self.cluster.apart(role, part)

    def close(self) -> None: ...

    def take_back(self, part: WorkerPart) -> None:
        """Let nothing be opened any more, and end this part, so that the thread which waits for it ends too."""
        with self.lock:
            self.taken_back = True
            self.cluster.end(part)
