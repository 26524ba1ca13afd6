"""Which trigger makes this model think best? Candidates by hand and from the model itself, halved again and again; the winner is evaluated.

`python workflows/trigger_search.py` searches for SmolLM2-135M on problems of the quickstart.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from chain_of_thought import EVALUATION, SYSTEM
from quickstart import EXEMPLARS
from rich.console import Console

from selfimprove import RayCluster, Sampling, Workflow, ZeroShot, open_run_context
from selfimprove.prompting.trigger_search import BY_HAND, KOJIMA
from selfimprove.protocols import Cluster
from selfimprove.reports.prompt_search import show_rounds, show_ways
from selfimprove.storage.files import write_json
from selfimprove.studies.prompt_search import evaluate_prompters, propose_triggers, round_rows, rows, search_prompters
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress

WORKFLOW = replace(EVALUATION, name="trigger-search")
PROPOSALS = Sampling(n=16, temperature=0.7, max_tokens=40)


def main(
    workflow: Workflow = WORKFLOW,
    by_hand: Sequence[str] = BY_HAND,
    proposals: Sampling = PROPOSALS,
    development: int = 128,
    folder: Path = Path("runs/trigger-search"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> dict[str, Any]:
    """Return the rounds, the winner, and its comparison with `KOJIMA` on the evaluation problems."""
    console = Console()
    with open_run_context(workflow, folder, start_cluster, progress=TerminalProgress(console)) as context:
        proposed, drops = propose_triggers(context, EXEMPLARS, proposals, by_hand)
        candidates = {trigger: ZeroShot(trigger, SYSTEM) for trigger in (*by_hand, *proposed)}
        winner, rounds = search_prompters(context, candidates, context.problems[:development])
        finalists = {trigger: ZeroShot(trigger, SYSTEM) for trigger in (KOJIMA, winner)}
        evaluation = rows(evaluate_prompters(context, finalists, context.eval_problems, "evaluation"), KOJIMA)
    result = {
        "proposed": len(proposed),
        "dropped": drops,
        "rounds": round_rows(rounds),
        "winner": winner,
        "against": KOJIMA,
        "evaluation": evaluation,
    }
    write_json(folder / "result.json", result)
    left_out = ", ".join(f"{count} {reason}" for reason, count in drops.items()) or "none"
    console.print(f"{len(proposed)} proposed triggers beside {len(by_hand)} by hand; proposals left out: {left_out}", highlight=False)
    show_rounds(result["rounds"], console)
    console.print()
    show_ways(evaluation, KOJIMA, console)
    return result


if __name__ == "__main__":
    with in_one_line("trigger_search"):
        main()
