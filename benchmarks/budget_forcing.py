"""Budget forcing in one pass of the decoding loop against the published procedure with several calls: same prompts, budget, engine and limits.

The procedure is that of s1 (Muennighoff et al. 2025), on token ids: generate up to the end delimiter; if the model ended early, append the
continuation and generate again with the rest of the maximum; then append the end delimiter and generate the answer.
"""

from __future__ import annotations

import os
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.figures import Figure, figure, hand_on
from benchmarks.machine import describe_machine
from selfimprove import Budget
from selfimprove.checkpoints.base_models import resolve_model
from selfimprove.records import Request
from selfimprove.records.delimiters import THINK
from selfimprove.sampling.engine_options import engine_defaults
from selfimprove.sampling.vllm_engine import ENVIRONMENT
from selfimprove.workflow.files import load_workflow

REPEATS = 3
PROBLEMS = 32
MAXIMUM, EXTENSIONS, ANSWER, CONTINUATION = 64, 2, 16, "Wait"
BUDGET = Budget(max_tokens=MAXIMUM, extensions=EXTENSIONS, continuations=(CONTINUATION,), final="", answer_tokens=ANSWER)
ASKED = Request("benchmark", "any", (), 0.0, 1.0, MAXIMUM, 0, THINK, BUDGET)


@dataclass
class Engine:
    """vLLM's own batched interface, greedy, with a count of calls."""

    llm: Any
    calls: int = 0

    def __post_init__(self) -> None:
        self.tokenizer = self.llm.get_tokenizer()
        self.end, self.continuation = map(self.encode, (THINK.end, CONTINUATION))

    def encode(self, text: str) -> list[int]:
        return list(self.tokenizer.encode(text, add_special_tokens=False))

    def decode(self, tokens: Sequence[int]) -> str:
        return str(self.tokenizer.decode(tokens, clean_up_tokenization_spaces=False))

    def generate(self, prompts: list[list[int]], limits: list[int], **parameters: Any) -> list[Any]:
        from vllm import SamplingParams, TokensPrompt

        self.calls += 1
        outputs = self.llm.generate(
            [TokensPrompt(prompt_token_ids=prompt) for prompt in prompts],
            [SamplingParams(temperature=0.0, max_tokens=limit, skip_special_tokens=False, **parameters) for limit in limits],
            use_tqdm=False,
        )
        return [output.outputs[0] for output in outputs]


Way = Callable[[Engine, list[list[int]]], list[list[int]]]
"""Write one output per prompt: thinking, end delimiter, answer."""


def one_pass(engine: Engine, prompts: list[list[int]]) -> list[list[int]]:
    """Let every request carry its budget into the decoding loop."""
    from selfimprove.sampling.budget_forcing import carried

    # One more for the answer's end of turn.
    limit = MAXIMUM + len(engine.end) + ANSWER + 1
    return [list(written.token_ids) for written in engine.generate(prompts, [limit] * len(prompts), extra_args=carried(ASKED, opened=True, begun=""))]


def in_rounds(engine: Engine, prompts: list[list[int]]) -> list[list[int]]:
    """Make each round one call over all remaining prompts."""
    thinking: list[list[int]] = [[] for _ in prompts]
    going = list(range(len(prompts)))
    for extension in range(EXTENSIONS + 1):
        limits = [MAXIMUM - len(thinking[number]) for number in going]
        segments = engine.generate([prompts[number] + thinking[number] for number in going], limits, stop=[THINK.end]) if going else []
        for number, segment in zip(going, segments, strict=True):
            thinking[number] += before_the_end(engine, segment)
            if extension < EXTENSIONS and segment.finish_reason == "stop":
                thinking[number] = (thinking[number] + engine.continuation)[:MAXIMUM]
        going = [number for number in going if len(thinking[number]) < MAXIMUM]
    thought = [tokens + engine.end for tokens in thinking]
    answers = engine.generate([prompt + tokens for prompt, tokens in zip(prompts, thought, strict=True)], [ANSWER] * len(prompts))
    return [tokens + list(answer.token_ids) for tokens, answer in zip(thought, answers, strict=True)]


def one_by_one(engine: Engine, prompts: list[list[int]]) -> list[list[int]]:
    """Follow the published order: all rounds of a prompt, then the next prompt."""
    return [output for prompt in prompts for output in in_rounds(engine, [prompt])]


def before_the_end(engine: Engine, segment: Any) -> list[int]:
    """Return a segment's tokens without the stop string, which has several tokens, or the end of turn."""
    tokens = list(segment.token_ids)
    if segment.finish_reason == "stop":
        while len(engine.decode(tokens)) > len(segment.text):
            tokens.pop()
    return tokens


WAYS: dict[str, Way] = {"one pass": one_pass, "one by one": one_by_one, "in rounds": in_rounds}


@dataclass
class Measured:
    """Measurements of one way, by repeat."""

    seconds: list[float] = field(default_factory=list)
    calls: int = 0
    outputs: list[list[int]] = field(default_factory=list)
    """Outputs of the last repeat."""

    def line(self, name: str) -> str:
        middle, tokens = statistics.median(self.seconds), sum(map(len, self.outputs))
        spread = f"{min(self.seconds):.2f} to {max(self.seconds):.2f}"
        return f"  {name:10} {middle:7.2f} s (median; {spread}), {tokens} output tokens, {tokens / middle:5.0f} tokens/s, {self.calls} calls"


def parts(engine: Engine, output: list[int]) -> tuple[list[int], list[int] | None]:
    """Return thinking and answer; the answer is None if the thinking never ends."""
    tokens, end = spoken(engine, output), engine.end
    for start in range(len(tokens) - len(end) + 1):
        if tokens[start : start + len(end)] == end:
            return tokens[:start], tokens[start + len(end) :]
    return tokens, None


def require_budget(engine: Engine, output: list[int]) -> None:
    """Raise RuntimeError if an output breaks the budget."""
    thinking, answer = parts(engine, output)
    broken = {
        f"more than {MAXIMUM} thinking tokens": len(thinking) > MAXIMUM,
        f"fewer than {EXTENSIONS} continuations": len(thinking) < MAXIMUM and engine.decode(thinking).count(CONTINUATION) < EXTENSIONS,
        f"more than {ANSWER} answer tokens": answer is not None and len(answer) > ANSWER,
        "thinking never ends": answer is None,
    }
    if reasons := [reason for reason, found in broken.items() if found]:
        raise RuntimeError(f"the budget is broken: {', '.join(reasons)}: {engine.decode(output)!r}")


def spoken(engine: Engine, output: list[int]) -> list[int]:
    """Return the output without the end of turn, which is missing where the answer's limit was reached."""
    return output[:-1] if output[-1] == engine.tokenizer.eos_token_id else output


def measure(engine: Engine, prompts: list[list[int]]) -> dict[str, Measured]:
    """Measure all ways in turns; the prefix cache is reset between them."""
    one_pass(engine, prompts)
    in_rounds(engine, prompts[:2])
    results = {name: Measured() for name in WAYS}
    for _ in range(REPEATS):
        for name, way in WAYS.items():
            engine.llm.reset_prefix_cache()
            engine.calls, start = 0, time.monotonic()
            results[name].outputs = way(engine, prompts)
            results[name].seconds.append(time.monotonic() - start)
            results[name].calls = engine.calls
    return results


def open_engine(model: str) -> tuple[Engine, list[list[int]]]:
    """Return the engine and the prompts, each of which opens the thinking block, as in s1."""
    from vllm import LLM

    from selfimprove.sampling.logits_processors import BudgetForcing

    workflow, _ = load_workflow(Path("workflows/quickstart.py"))
    chosen: dict[str, Any] = getattr(workflow.sampler, "engine", {})
    folder = Path(model) if Path(model).is_dir() else resolve_model(model)
    engine = Engine(LLM(**(engine_defaults(folder, chosen) | chosen | {"logits_processors": [BudgetForcing], "enable_prefix_caching": True})))
    # A base model needs exemplars to think at all.
    prompter = workflow.prompter if Path(model).is_dir() else workflow.first_prompter
    assert prompter is not None
    opening = engine.encode(THINK.begin + "\n")
    chats = [list(prompter.messages(problem)) for problem in list(workflow.problems.load())[:PROBLEMS]]
    return engine, [engine.tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_dict=False) + opening for chat in chats]


def main(model: str = "smollm2-135m-instruct") -> list[Figure]:
    """Print the three ways and the gain of one pass."""
    os.environ.update(ENVIRONMENT)
    # The actor's setting; must be set before vLLM and torch are imported.
    os.environ["OMP_NUM_THREADS"] = str(len(os.sched_getaffinity(0)))
    engine, prompts = open_engine(model)
    results = measure(engine, prompts)
    print(describe_machine())
    print(f"budget forcing, {len(prompts)} prompts of {model}, greedy, {BUDGET}, {REPEATS} repeats, interleaved:")
    for name, measured in results.items():
        for output in measured.outputs:
            require_budget(engine, output)
        print(measured.line(name))
    ours, figures = results["one pass"], []
    for name, aim in (("one by one", 10), ("in rounds", 1.3)):
        theirs = results[name]
        same = sum(spoken(engine, a) == spoken(engine, b) for a, b in zip(ours.outputs, theirs.outputs, strict=True))
        ratios = [other / one for one, other in zip(ours.seconds, theirs.seconds, strict=True)]
        print(f"  {name} / one pass: {statistics.median(ratios):.2f} (target: {aim} or more); same tokens for {same} of {len(prompts)} prompts")
        command = "python -m benchmarks.budget_forcing"
        figures.append(
            figure(f"budget forcing: seconds of s1's calls {name} ÷ one pass", f"≥ {aim}", ratios, command, note=f"{len(prompts)} prompts")
        )
    return figures


if __name__ == "__main__":
    hand_on(main(*sys.argv[1:2]))
