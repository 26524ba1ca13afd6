"""What `check` finds out about a workflow before compute is spent."""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console

from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.checkpoints.chat_form import notes
from selfimprove.checkpoints.unseen_tokens import never_seen, unseen_turn_tokens
from selfimprove.cluster.gpu_shares import divide
from selfimprove.cluster.gpus_in_sight import gpus_in_sight
from selfimprove.commands.direct_findings import direct_findings
from selfimprove.commands.disk_room import disk_room
from selfimprove.commands.evaluation_findings import evaluation_findings
from selfimprove.commands.finding import Finding
from selfimprove.commands.general_findings import general_findings
from selfimprove.commands.guard_findings import guard_findings
from selfimprove.commands.level_findings import level_findings
from selfimprove.commands.prompt_findings import context_finding, option_findings, prompt_lengths, thinking_findings
from selfimprove.commands.proposal_findings import proposal_findings
from selfimprove.commands.training_room import gpu_memory, training_room
from selfimprove.commands.verifier_findings import further_findings, verifier_findings
from selfimprove.errors import UserError, WorkerFailed
from selfimprove.errors.redaction import redact
from selfimprove.problems.sets import load_sets
from selfimprove.prompting.chat import FewShot
from selfimprove.sampling.sampling_parameters import require_known
from selfimprove.sampling.vllm_engine import VLLM, require_vllm
from selfimprove.stages.expected_time import estimate
from selfimprove.terminal.progress import duration
from selfimprove.terminal.safe_text import printable
from selfimprove.training.sft import SFT
from selfimprove.workflow.decontaminate import decontaminated
from selfimprove.workflow.roles import roles
from selfimprove.workflow.teacher import Teacher
from selfimprove.workflow.workflow import Workflow


def check(workflow: Workflow, run_dir: str = "runs") -> dict[str, Any]:
    """Check problems, references, exemplars, model and prompts, and estimate the cost of a run. `run_dir` is where its checkpoints would go.

    Returns:
        `{"passed": bool, "findings": [{"name", "passed", "detail", "warning"}, …],
        "estimate": {"sampled_tokens", "trained_tokens", "minutes"} or None}`.
        Without readable problems or without a model, the checks that need them are left out.
    """
    findings: list[Finding] = []
    cost = None
    sets = _attempt("problems", findings, lambda: load_sets(**workflow.sets))
    model = _attempt("model", findings, lambda: resolve_model(workflow.base_model, workflow.chat_template, isinstance(workflow.sampler, VLLM)))
    if sets is not None:
        loaded = sets
        clean = _attempt("contamination", findings, lambda: decontaminated(workflow, loaded)[0]) or loaded
        kept, measured = clean.learnable, loaded.measured
        others = f", {len(loaded.test)} for the final test" if loaded.test else ""
        others += "".join(f", {len(problems)} of generation {number}" for number, problems in clean.own.items())
        others += "".join(f", {len(problems)} for guard {name}" for name, problems in loaded.guards.items())
        shared = "two sets" if others else "both"
        detail = f"{len(clean.training)} for training, {len(loaded.evaluation)} for evaluation{others}; no question is in {shared}"
        if dropped := len(loaded.learnable) - len(kept):
            detail += f"; contamination leaves out {dropped} others, which give {'guard or ' if loaded.guards else ''}evaluation problems away"
        findings.append(Finding("problems", True, detail))
        findings += verifier_findings(workflow, kept, measured)
        findings += further_findings(workflow, measured)
        findings += guard_findings(workflow, loaded.guards)
        findings += option_findings(workflow, [*kept, *measured])
        findings += level_findings(workflow, clean)
        findings += evaluation_findings(len(loaded.evaluation), workflow.gate)
        findings += general_findings(workflow, loaded, model)
        findings += proposal_findings(workflow, kept)
        sets = clean
    if model is not None:
        findings.append(_model(workflow, model))
        findings += direct_findings(workflow, model)
        disk = _attempt("disk", findings, lambda: disk_room(workflow, model, run_dir))
        findings += [Finding("disk", *disk)] if disk else []
        if isinstance(trainer := workflow.trainer, SFT):
            room = _attempt("memory", findings, lambda: training_room(trainer, model, gpu_memory()))
            findings += [Finding("memory", *room)] if room else []
    if workflow.drift:
        _attempt("drift", findings, workflow.drift.read)
    findings.append(_gpus(workflow))
    if workflow.teacher is not None:
        findings.append(_teacher(workflow, workflow.teacher))
    if isinstance(workflow.sampler, VLLM):
        findings += _vllm(workflow)
    if sets is not None and model is not None:
        if isinstance(workflow.first_prompter, FewShot):
            findings += thinking_findings(workflow.first_prompter, model, sets.training[0])
        lengths = _attempt("prompts", findings, lambda: prompt_lengths(workflow, model, sets))
        if lengths is not None:
            findings.append(context_finding(workflow, model, lengths))
            cost = estimate(workflow, model, sets, lengths)
    return {
        "passed": all(finding.passed for finding in findings),
        "findings": as_data(findings),
        "estimate": cost,
    }


def show(result: dict[str, Any], console: Console) -> None:
    """Print the result of `check`."""
    show_findings(result["findings"], console)
    if cost := result["estimate"]:
        console.print(
            f"at most about {cost['sampled_tokens']:,} tokens to sample and {cost['trained_tokens']:,} to train on"
            + ("" if cost["minutes"] is None else f"; a run takes about {duration(cost['minutes'] * 60)} on this machine"),
            highlight=False,
            soft_wrap=True,
        )


def show_findings(findings: Sequence[dict[str, Any]], console: Console) -> None:
    """Print one line for each finding."""
    for finding in findings:
        mark = "[red]FAIL[/]" if not finding["passed"] else "[yellow]WARN[/]" if finding["warning"] else "[green]ok  [/]"
        console.print(f"{mark} {printable(finding['name'])}: {printable(finding['detail'])}", highlight=False, soft_wrap=True)


def as_data(findings: Sequence[Finding]) -> list[dict[str, Any]]:
    """The findings as JSON data, without secrets."""
    return [{**asdict(finding), "detail": redact(finding.detail)} for finding in findings]


def _attempt(name: str, findings: list[Finding], load: Callable[[], Any]) -> Any:
    try:
        return load()
    except UserError as error:
        findings.append(Finding(name, False, str(error)))
        return None


def _teacher(workflow: Workflow, teacher: Teacher) -> Finding:
    """Whether the teacher can be asked. Traces that may be dropped for their length are noted, since they are paid for."""
    decoding = teacher.sampling or workflow.sampling
    longest = min(decoding.max_tokens, workflow.selector.max_tokens or math.inf)
    try:
        detail = teacher.checkpoint(decoding).path
    except UserError as error:
        return Finding("teacher", False, str(error))
    if isinstance(workflow.trainer, SFT) and longest >= workflow.trainer.max_length:
        detail += f"; traces have up to {longest} tokens, and rows longer than trainer.max_length={workflow.trainer.max_length} are dropped"
    return Finding("teacher", True, detail)


def _model(workflow: Workflow, model: Path) -> Finding:
    """Where the model is, what was added to it, and which of its turn tokens it has never seen."""
    told = [str(model), *notes(model)]
    if isinstance(workflow.sampler, VLLM) and (unseen := unseen_turn_tokens(model)):
        told.append(never_seen(unseen, bool(getattr(workflow.trainer, "lora", None))))
    return Finding("model", True, "; ".join(told))


def _gpus(workflow: Workflow) -> Finding:
    """What each part reserves of the GPUs that a run would find now."""
    try:
        return Finding("gpus", True, divide(roles(workflow), gpus_in_sight()).told())
    except (UserError, WorkerFailed) as error:
        return Finding("gpus", False, str(error))


def _vllm(workflow: Workflow) -> list[Finding]:
    """Whether vLLM is there, and accepts the sampling's further settings."""
    try:
        require_vllm()
    except UserError as error:
        return [Finding("sampler", False, str(error))]
    samplings = [workflow.sampling, workflow.eval_sampling, *(guard.sampling for guard in workflow.guards.values() if guard.sampling)]
    if not any(one.extra for one in samplings):
        return []
    os.environ.update(workflow.sampler.environment())
    try:
        for sampling in samplings:
            require_known(sampling.extra)
    except UserError as error:
        return [Finding("sampling", False, str(error))]
    return [Finding("sampling", True, "vLLM accepts its further settings")]
