"""Does a chain of thought help this model? The same problems with the answer alone, with a trigger and with worked examples, in one batch.

`python workflows/chain_of_thought.py` evaluates SmolLM2-135M on the quickstart's evaluation problems.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from quickstart import EXEMPLARS
from quickstart import workflow as quickstart
from rich.console import Console

from selfimprove import VLLM, FewShot, LastNumber, RayCluster, Sampling, Workflow, ZeroShot, open_run_context
from selfimprove.protocols import Cluster, Prompter
from selfimprove.reports.prompt_search import show_ways
from selfimprove.storage.files import write_json
from selfimprove.studies.prompt_search import evaluate_prompters, rows
from selfimprove.terminal.exit_codes import in_one_line
from selfimprove.terminal.progress import TerminalProgress

# The same system prompt for all, so that only the way of asking differs.
SYSTEM = "You are a helpful assistant."


WAYS: dict[str, Prompter] = {
    "answer only": ZeroShot("Answer directly, with the number alone.", SYSTEM),
    "zero-shot trigger": ZeroShot("Let's think step by step.", SYSTEM),
    "few-shot exemplars": FewShot(EXEMPLARS, SYSTEM),
    # Wei et al.'s standard prompting separates the effect of the rationales from that of the examples.
    "few-shot, no rationale": FewShot(tuple(replace(one, rationale="") for one in EXEMPLARS), SYSTEM),
}

EVALUATION = replace(
    quickstart,
    name="chain-of-thought",
    # In bfloat16, near ties and so greedy chains of thought depend on the rest of the batch.
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    verifier=LastNumber(),
    also=(),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=192),
)


def main(
    workflow: Workflow = EVALUATION,
    ways: Mapping[str, Prompter] = WAYS,
    folder: Path = Path("runs/chain-of-thought"),
    start_cluster: Callable[[], Cluster] = RayCluster,
) -> list[dict[str, Any]]:
    """Return the rows of the table; the others are compared with the first way."""
    console, against = Console(), next(iter(ways))
    with open_run_context(workflow, folder, start_cluster, progress=TerminalProgress(console)) as context:
        result = rows(evaluate_prompters(context, ways, context.eval_problems, "evaluation"), against)
    write_json(folder / "result.json", result)
    show_ways(result, against, console)
    return result


if __name__ == "__main__":
    with in_one_line("chain_of_thought"):
        main()
