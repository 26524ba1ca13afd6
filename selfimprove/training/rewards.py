"""Rewards of rollouts: their verdicts, and their form."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from selfimprove.checkpoints.chat_form import end_of_turn
from selfimprove.protocols import OpenVerifiers
from selfimprove.records import JudgedTrace, Outcome, ReinforcementPrompt, Trace
from selfimprove.thinking.traces import parsed
from selfimprove.training.rows import tokenize_prompt

REWARDS = {Outcome.CORRECT: 1.0, Outcome.WRONG: 0.0, Outcome.UNPARSEABLE: 0.0}
"""Reward by verdict. A rollout with an undecided verdict has no reward and is left out."""


class Rewards:
    """Rewards rollouts and counts them until the end of their step."""

    def __init__(self, format_reward: float, partial_credit: bool = False) -> None:
        """`format_reward` is added for each well-formed rollout; with `partial_credit`, a wrong one is worth its score."""
        self._format_reward, self._partial_credit = format_reward, partial_credit
        self._counts: Counter[str] = Counter()

    def of(self, rollouts: Sequence[JudgedTrace]) -> list[float | None]:
        """The reward of each rollout; None if its verdict is undecided."""
        outcomes = [one.verdict.outcome for one in rollouts]
        self._counts["rollouts"] += len(rollouts)
        self._counts["rollout_tokens"] += sum(one.trace.output_tokens for one in rollouts)
        self._counts["rollouts_right"] += outcomes.count(Outcome.CORRECT)
        self._counts["rollouts_undecided"] += sum(outcome not in REWARDS for outcome in outcomes)
        return [self._reward(one) if one.verdict.outcome in REWARDS else None for one in rollouts]

    def counted(self) -> dict[str, float]:
        """The counts since the last call."""
        counts, self._counts = self._counts, Counter()
        return dict(counts)

    def _reward(self, one: JudgedTrace) -> float:
        value = one.verdict.score if self._partial_credit else REWARDS[one.verdict.outcome]
        return value + self._format_reward * (one.trace.finish_reason == "stop" and not parsed(one.trace).flags)


class OwnRollouts:
    """Judges rollouts that the trainer samples itself."""

    def __init__(self, prompts: Sequence[ReinforcementPrompt], tokenizer: Any, verifiers: OpenVerifiers) -> None:
        self._prompts, self._tokenizer, self._verifiers = prompts, tokenizer, verifiers
        self._ends = {end_of_turn(tokenizer), tokenizer.eos_token_id}
        chats = [tokenizer.decode(tokenize_prompt(tokenizer, prompt.messages)) for prompt in prompts]
        self._opened = [chat.rstrip().endswith(prompt.delimiters.begin) for chat, prompt in zip(chats, prompts, strict=True)]

    def judged(self, places: Sequence[int], outputs: Sequence[Sequence[int]]) -> list[JudgedTrace]:
        """Each output with its verdict, given the place of its prompt."""
        traces = [self._trace(place, list(ids)) for place, ids in zip(places, outputs, strict=True)]
        verdicts = self._verifiers.verify([(self._prompts[place].problem, trace) for place, trace in zip(places, traces, strict=True)])
        return [JudgedTrace(trace, verdict) for trace, verdict in zip(traces, verdicts, strict=True)]

    def _trace(self, place: int, ids: list[int]) -> Trace:
        prompt, ended = self._prompts[place], bool(ids) and ids[-1] in self._ends
        # Delimiters may be special tokens.
        text = self._tokenizer.decode(ids[:-1] if ended else ids, skip_special_tokens=False)
        name, finish = prompt.problem.id, "stop" if ended else "length"
        return Trace(f"{name}/rollout", name, "rollout", (), tuple(ids), text, (), finish, 1.0, 0, prompt.delimiters, self._opened[place])
