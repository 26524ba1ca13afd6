"""A run in a tracker of curves: what is logged, and what is logged already."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

from selfimprove.errors import UserError
from selfimprove.errors.redaction import redact
from selfimprove.records import GenerationReport, Score, TrainingStep
from selfimprove.storage.files import read_json, write_json
from selfimprove.tracking import figures


class Charts(Protocol):
    """One run that is open in a tracker. Methods raise whatever the tracker raises."""

    link: str
    """Where people can look at the run: an address, or a command."""
    empty: bool
    """Whether it is known that the tracker has nothing of the run."""

    def write(self, values: Mapping[str, float], step: int, generation: int | None = None) -> None:
        """Add a point to each of these curves: of the run, whose step is the generation, or of a generation's training."""
        ...

    def save(self, name: str, files: Sequence[Path]) -> None:
        """Keep these files under the name, if the tracker keeps files."""
        ...

    def close(self, status: str) -> None:
        """Send what is left, and end the run with the status `FINISHED`, `FAILED` or `KILLED`."""
        ...


@dataclass
class Logged:
    """What a tracker has of a run. The run folder keeps it, so that a continued run goes on there and logs nothing twice."""

    place: str
    """Address of the tracker. At another address the run is logged from its start."""
    id: str = field(default_factory=lambda: uuid.uuid4().hex[:8])
    items: dict[str, str] = field(default_factory=dict)
    """A digest of what was logged, by what it is."""
    steps: dict[str, int] = field(default_factory=dict)
    """The last optimizer step on the training curve, by generation."""


class OpenCharts:
    """Logs one run to a tracker of curves. What failed is logged when the run is continued."""

    def __init__(self, tracker: str, place: str, folder: Path, open_charts: Callable[[str], Charts]) -> None:
        """`<tracker>.json` in the run folder keeps what is logged. `open_charts` opens the run of this id, or begins it."""
        self._file, self._place, self._open_charts = folder / f"{tracker}.json", redact(place, place), open_charts
        self._charts: Charts | None = None
        self._logged = Logged(self._place)

    def start(self) -> str | None:
        """Begin the run, or continue the one of the run folder; returns where people can look at it."""
        if self._file.exists() and (known := read_json(self._file, Logged)).place == self._place:
            self._logged = known
        self._charts = self._open_charts(self._logged.id)
        if self._charts.empty:
            # The run folder came from another machine, or the tracker's files were removed.
            self._logged = Logged(self._place, self._logged.id)
        self._keep()
        return redact(self._charts.link, self._place)

    def log_training(self, generation: int, steps: Sequence[TrainingStep]) -> None:
        """Add the steps that are not on the curve yet: a training that is started again repeats some."""
        if self._charts is None:
            return
        last = self._logged.steps.get(str(generation), 0)
        for step in steps:
            if step.step > last:
                self._charts.write(figures.of_step(step), step.step, generation)
                self._logged.steps[str(generation)] = last = step.step
        self._keep()

    def log_generation(self, report: GenerationReport, folder: Path) -> None:
        """Add a point to each curve over generations."""
        self._once(f"generation {report.generation}", [(figures.of_report(report), report.generation)])

    def log_baseline(self, name: str, score: Score) -> None:
        """Log the baseline's pass@1 and its interval, at generation 0."""
        self._once(f"baseline {name}", [(figures.of_baseline(name, score), 0)])

    def log_figures(self, name: str, measured: Sequence[tuple[Mapping[str, float], int]], files: Sequence[Path]) -> None:
        """Log figures `<name>/<key>` and the files. Without `start`, the run is opened for this and closed."""
        closed = self._charts is None and self._file.exists()
        if closed:
            self.start()
        self._once(f"figures {name}", [({f"{name}/{key}": value for key, value in values.items()}, step) for values, step in measured], name, files)
        if closed:
            self.finish("FINISHED")

    def finish(self, status: str) -> None:
        """End the run."""
        if self._charts is not None:
            charts, self._charts = self._charts, None
            charts.close(status)

    def _once(self, item: str, points: Sequence[tuple[Mapping[str, float], int]], name: str = "", files: Sequence[Path] = ()) -> None:
        """Write the points and save the files, unless exactly these have been logged."""
        digest = hashlib.sha256(json.dumps([points, [file.read_bytes().hex() for file in files]], sort_keys=True).encode()).hexdigest()[:16]
        if self._charts is None or self._logged.items.get(item) == digest:
            return
        for values, step in points:
            self._charts.write(values, step)
        if files:
            self._charts.save(name, files)
        self._logged.items[item] = digest
        self._keep()

    def _keep(self) -> None:
        write_json(self._file, asdict(self._logged), hashed=False)


def require_package(package: str) -> None:
    """Raise UserError with the way to install it if the package is missing; its extra has the same name."""
    spec = find_spec(package)
    # A folder of the same name that holds no package, such as the `wandb` that runs leave, has no origin.
    if spec is None or spec.origin is None:
        raise UserError(f'the tracker {package} is not installed; run: pip install "selfimprove[{package}]"')
