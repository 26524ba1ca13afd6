"""The lines below the tables of a run: what each generation came to, gains, the final test, and where things are."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich.text import Text

from selfimprove.reports import averaging as averaging_report
from selfimprove.reports import difficulty as difficulty_report
from selfimprove.reports import levels as levels_report
from selfimprove.reports import proposed as proposed_report
from selfimprove.reports import reflection as reflection_report
from selfimprove.reports import thinking_off as thinking_report
from selfimprove.reports.guards import guard_lines, prompt_lines
from selfimprove.reports.scores import gain_line, test_lines
from selfimprove.terminal.safe_text import plain_line


def footer(summary: dict[str, Any]) -> Text:
    """The lines below the tables of a summary, as `table.summarize` returns it."""
    lines = [line for row in summary["generations"] for line in _generation(row)]
    if also := _gains(summary):
        lines += [also, *(f"  {line}" for line in prompt_lines(summary))]
    for name, baseline in summary["baseline_details"].items():
        if found := baseline["champion_gain"]:
            lines.append(f"champion against {name.replace('_', '-')}: {gain_line(found)}")
    lines += test_lines(summary)
    loop = sum(sum(row["seconds"].values()) for row in summary["generations"])
    lines.append(f"stages of all generations: {loop / 60:.1f} min")
    undecided = [row["undecided"] for row in summary["generations"]]
    if any(undecided):
        lines.append("evaluation answers without a verdict: " + ", ".join(f"{share:.1%}" for share in undecided))
    if summary["kept"]:
        lines.append(f"kept: generation {summary['kept_generation']}, {summary['kept']}")
    if found := summary["checkpoints"]:
        lines.append(found["told"])
    if summary["stopped_early"]:
        lines.append(f"stopped early: {summary['stopped_early']}")
    if summary.get("at_work") is not None:
        lines += ["the run is at work", *(f"  {line}" for line in summary["at_work"])]
    elif not summary["complete"]:
        lines.append("the run is not complete; the same `selfimprove run` command continues it")
    return Text("\n".join(map(plain_line, lines)))


def _generation(row: dict[str, Any]) -> list[str]:
    lines = []
    if found := row["coverage"]:
        solved = f"{len(found['newly_solved'])} newly solved, {len(found['forgotten'])} forgotten, {len(found['never_solved'])} never solved"
        lines += [f"generation {row['generation']}: {found['trend']}: {solved}", f"  {row['why']}"]
    if row["most_samples"] > row["samples_per_problem"]:
        samples = f"{row['samples_per_problem']:.1f} samples per problem, at most {row['most_samples']}"
        lines.append(f"  {samples}; {row['distinct_per_1000_tokens']:.1f} distinct accepted per 1,000 tokens")
    lines += [f"  {line}" for line in (*levels_report.lines(row), *proposed_report.lines(row), *guard_lines(row))]
    lines += [f"  {line}" for line in (*thinking_report.lines(row), *averaging_report.lines(row))]
    if "off_policy" in row:
        lines.append(f"  off-policy: {row['off_policy']:,} of {row['accepted']:,} accepted traces are from the champion before the last")
    if general := row.get("general"):
        tokens = "" if row["general_tokens"] is None else f", {row['general_tokens']:,} tokens of answers"
        passed_over = f"; passed over: {row['general_contaminated']:,} contaminated, {row['general_too_long']:,} too long"
        lines.append(f"  general rows: {general:,} of {row['trained_on']:,} trained on{tokens}{passed_over}")
    if anatomy := row.get("anatomy"):
        lines += [f"  {line}" for line in _anatomy(anatomy)]
    if wrong := row.get("falsely_accepted"):
        lines.append(f"  accepted but wrong by the reference answer: {wrong} of {row['accepted']} ({wrong / row['accepted']:.1%})")
    for name in ("rationalization", "retry"):
        if again := row.get(name):
            lines += [f"  {line}" for line in _asked_again(name, again)]
    if attempts := row.get("first_attempts"):
        lines += [f"  {line}" for line in reflection_report.lines(row, attempts)]
    if difficulty := row.get("difficulty"):
        lines += [f"  {line}" for line in difficulty_report.lines(difficulty)]
    if spent := row.get("spent"):
        lines.append(f"  the endpoint counted {spent['prompt_tokens']:,} tokens in, {spent['output_tokens']:,} out; cost {spent['cost']:.4g}")
    return lines


def _anatomy(figures: dict[str, float]) -> Iterator[str]:
    shares = ", ".join(f"{name} in {figures[f'{name}_share']:.0%}" for name in ("reflection", "revision") if figures[f"{name}_share"])
    yield f"{figures['thoughts']:.1f} thoughts, {figures['output_tokens']:.0f} tokens per trace{f'; {shares}' if shares else ''}"
    if figures.get("switches"):
        yield f"{figures['switches']:.1f} switches to another thought per trace"
    for name, meaning in (("under_thinking", "wrong traces"), ("over_thinking", "correct traces")):
        if name in figures:
            low, high = figures[f"{name}_low"], figures[f"{name}_high"]
            kind = name.replace("_", "-")
            yield f"{kind} {figures[name]:.2f} ({low:.2f}–{high:.2f}) over {figures[f'{name}_traces']:.0f} {meaning}"


def _asked_again(name: str, figures: dict[str, float]) -> Iterator[str]:
    problems, accepted, rows = (figures[name] for name in ("problems", "accepted", "trained_on"))
    yield f"{name}: {accepted:.0f} rows accepted for {problems:.0f} unsolved problems, {rows:.0f} trained on"
    if "value" in figures:
        gain, low, high = (figures[name] for name in ("value", "value_low", "value_high"))
        yield f"  gain {gain:+.3f} ({low:+.3f} to {high:+.3f}); pass@1 without them {figures['without']:.3f}"


def _gains(summary: dict[str, Any]) -> str | None:
    """What base and champion score by each verifier and under each prompt: a gain that only the first one sees is one of form."""
    rows = summary["generations"]
    base, kept = rows[0] if rows else None, next((row for row in rows if row["generation"] == summary["kept_generation"]), None)
    if not (base and kept and (base["also"] or summary["further_prompts"])):
        return None
    pairs = {"pass@1": (base, kept), **{f"by {name}": (one, kept["also"][name]) for name, one in base["also"].items() if name in kept["also"]}}
    pairs |= {f"asked by {name}": (found["base"], found["champion"]) for name, found in summary["further_prompts"].items()}
    told = "; ".join(f"{name} {before['pass_at_1']:.3f} → {after['pass_at_1']:.3f}" for name, (before, after) in pairs.items())
    return f"base → champion: {told}"
