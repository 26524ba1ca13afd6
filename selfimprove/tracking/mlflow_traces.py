"""Sampled traces as MLflow traces: each thought is a span, the verdict is an assessment."""

from __future__ import annotations

import hashlib
import heapq
import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from selfimprove.records import AnnotatedTrace, Outcome, Problem
from selfimprove.reports.traces import described
from selfimprove.stages.annotate import annotate
from selfimprove.stages.probe import read_probes
from selfimprove.storage.shards import stored
from selfimprove.terminal.safe_text import plain_line, plain_text
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.thinking.traces import parsed


def draw(folder: Path, most: int) -> list[AnnotatedTrace]:
    """At most `most` traces of a generation's folder, drawn at random but the same every time."""
    chosen = heapq.nsmallest(most, stored(folder), key=lambda item: hashlib.sha256(item.trace.id.encode()).digest())
    return list(annotate(chosen, read_probes(folder)))


@dataclass(frozen=True)
class Place:
    """The place of one generation's traces in MLflow."""

    experiment_id: str
    run_id: str
    model_id: str | None
    """Logged model that wrote the traces; None for a teacher."""
    generation: int
    when: int
    """Time of all traces in milliseconds since 1970. Traces are sampled side by side, so single ones have no measured time."""


def trace_id(item: AnnotatedTrace, place: Place) -> str:
    """The same id for the same trace of the same run, so that a trace that is logged again replaces itself."""
    return "tr-" + hashlib.sha256(f"{place.run_id}/{item.trace.id}".encode()).hexdigest()[:32]


def info(item: AnnotatedTrace, problem: Problem, accepted: Collection[str], place: Place) -> Any:
    """The trace's line in MLflow's list: question, text and tokens; as assessments, `correct`, `accepted` and the reference answer.

    Its state is an error unless its answer is correct: MLflow's overview counts errors.
    """
    from mlflow.entities import AssessmentSource, Expectation, Feedback, TraceInfo, TraceLocation, TraceState

    trace, verdict, name = item.trace, item.verdict, trace_id(item, place)
    source = AssessmentSource("CODE", plain_line(f"{verdict.verifier} {verdict.version}"))
    correct = verdict.outcome is Outcome.CORRECT
    assessments = [
        Feedback("correct", correct, source=source, rationale=verdict.outcome.value, create_time_ms=place.when, last_update_time_ms=place.when),
        Feedback("accepted", trace.id in accepted, source=AssessmentSource("CODE", "selector"), create_time_ms=place.when),
        Expectation("reference", problem.answer, source=AssessmentSource("CODE", plain_line(problem.source)), create_time_ms=place.when),
    ]
    for assessment in assessments:
        assessment.assessment_id = f"a-{hashlib.sha256(f'{name}/{assessment.name}'.encode()).hexdigest()[:32]}"
    metadata = {"mlflow.sourceRun": place.run_id, "mlflow.trace.tokenUsage": json.dumps(_usage(item))}
    return TraceInfo(
        trace_id=name,
        trace_location=TraceLocation.from_experiment_id(place.experiment_id),
        request_time=place.when,
        state=TraceState.OK if correct else TraceState.ERROR,
        request_preview=plain_text(problem.question),
        response_preview=plain_text(trace.text),
        client_request_id=plain_line(trace.id),
        execution_duration=0,
        trace_metadata=metadata | ({"mlflow.modelId": place.model_id} if place.model_id else {}),
        tags={"mlflow.traceName": plain_line(trace.problem_id), "generation": str(place.generation), "outcome": verdict.outcome.value},
        assessments=assessments,
    )


def spans(item: AnnotatedTrace, problem: Problem, place: Place, behaviours: Behaviours) -> Iterator[Any]:
    """One span for the whole trace; inside it one for each thought, named after its reasoning behaviour, and one for the verdict."""
    parts, seen, name = parsed(item.trace), described(item, problem, behaviours), trace_id(item, place)
    whole = {"thinking": parts.thinking, "answer": parts.answer, "finish_reason": item.trace.finish_reason}
    usage, good = {"mlflow.chat.tokenUsage": _usage(item)}, item.verdict.outcome is Outcome.CORRECT
    yield _span(name, 0, place.when, plain_line(item.trace.id), "LLM", {"question": problem.question}, whole, usage, good)
    for number, thought in enumerate(seen["thoughts"], start=1):
        yield _span(name, number, place.when, thought["behaviour"], "CHAIN", None, thought["text"].strip("\n"), {"probed": thought["probed"]})
    judged = {"answer": item.verdict.answer, "reference": problem.answer}
    yield _span(name, len(seen["thoughts"]) + 1, place.when, "verify", "EVALUATOR", judged, item.verdict.outcome.value, good=good)


def _span(
    trace: str, number: int, when: int, name: str, kind: str, inputs: Any, outputs: Any, more: Mapping[str, Any] | None = None, good: bool = True
) -> Any:
    """A span. Number 0 holds the others; each begins a nanosecond after the one before, which keeps them in order."""
    from mlflow.entities import Span

    attributes = {"mlflow.traceRequestId": trace, "mlflow.spanType": kind, "mlflow.spanInputs": inputs, "mlflow.spanOutputs": outputs, **(more or {})}
    begin = when * 1_000_000 + number
    return Span.from_dict(
        {
            "trace_id": trace,
            "span_id": _span_id(trace, number),
            "parent_span_id": _span_id(trace, 0) if number else None,
            "name": name,
            "start_time_unix_nano": begin,
            "end_time_unix_nano": begin,
            "status": {"code": "STATUS_CODE_OK" if good else "STATUS_CODE_ERROR"},
            "attributes": {key: json.dumps(value, ensure_ascii=False) for key, value in attributes.items() if value is not None},
        }
    )


def _span_id(trace: str, number: int) -> str:
    return hashlib.sha256(f"{trace}/{number}".encode()).hexdigest()[:16]


def _usage(item: AnnotatedTrace) -> dict[str, int]:
    read = item.trace.usage.prompt_tokens if item.trace.usage else len(item.trace.prompt_token_ids)
    return {"input_tokens": read, "output_tokens": item.trace.output_tokens, "total_tokens": read + item.trace.output_tokens}
