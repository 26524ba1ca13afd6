"""The branches that a search keeps, drops and continues, by their rewards."""

from __future__ import annotations

from selfimprove.process_reward.search import Branch, Search, thoughts_of
from selfimprove.records import JudgedTrace, Message, Outcome, Request, Trace, Verdict

REQUEST = Request("p/g1/s3", "p", (Message(role="user", content="1 + 1"),), 0.8, 1.0, 40, 7)


def piece(text: str, finish: str = "thought", tokens: int = 5, opened: bool = False) -> JudgedTrace:
    trace = Trace("x", "p", "m", (1, 2), tuple(range(tokens)), text, ((tokens - 1, tokens),), finish, 0.8, 1, opened=opened)
    return JudgedTrace(trace, Verdict("x", Outcome.CORRECT if finish == "stop" else Outcome.UNPARSEABLE, None, "v", "1", float(finish == "stop")))


def branch(reward: float, path: str = "0", finish: str = "thought") -> Branch:
    grown = Branch(REQUEST).grown(path, piece("<think>\na.\n", finish))
    return Branch(grown.request, path, grown.trace, grown.judged, (reward,))


def test_a_branch_grows_into_one_trace_without_the_tokens_that_ended_its_pieces() -> None:
    first = Branch(REQUEST).grown("1", piece("<think>\na.\n"))
    assert not first.ended and first.thoughts == ("\na.\n",)
    whole = first.grown("1.0", piece("b.\n", opened=True)).grown("1.0.2", piece("c</think>\n2", "stop", opened=True))
    assert whole.ended and whole.thoughts == ("\na.\n", "b.\n", "c")
    trace = whole.finished("p/g1/s9")
    assert trace.trace.text == "<think>\na.\nb.\nc</think>\n2" and trace.trace.output_token_ids == (0, 1, 2, 3, 0, 1, 2, 3, 0, 1, 2, 3, 4)
    assert (trace.trace.id, trace.verdict.trace_id, trace.verdict.outcome) == ("p/g1/s9", "p/g1/s9", "correct")
    assert trace.trace.forced == () and not trace.trace.opened and trace.trace.seed == 7


def test_each_continuation_extends_its_branch_with_its_own_seed() -> None:
    method = Search(width=2, expansions=3, rounds=2)
    roots = method.requests(Branch(REQUEST), 0)
    assert list(roots) == ["0", "1", "2", "3", "4", "5"] and {one.prefix for one in roots.values()} == {()}
    more = method.requests(Branch(REQUEST).grown("4", piece("<think>\na.\n")), 1)
    assert list(more) == ["4.0", "4.1", "4.2"]
    assert all(one.prefix == (0, 1, 2, 3) and one.max_tokens == 36 and one.stop_after_thoughts == 1 for one in more.values())
    assert len({one.seed for one in (*roots.values(), *more.values())}) == 9
    assert method.requests(Branch(REQUEST), 2)["0"].stop_after_thoughts is None, "in the last round it is written to its end"


def test_the_best_branches_are_kept_and_finished_ones_keep_their_place() -> None:
    method = Search(width=2, expansions=2)
    low, high, done = branch(0.1, "0"), branch(0.9, "1"), branch(0.5, "2", "stop")
    assert method.keep([low, high, done], []) == ([high], [done])
    assert method.keep([low, branch(0.3, "3")], [done]) == ([branch(0.3, "3")], [done])
    assert method.keep([branch(0.4, "4", "stop"), low], [done]) == ([], [done, branch(0.4, "4", "stop")])


def test_hopeless_branches_are_given_up_and_a_hopeless_tree_keeps_its_best_branch() -> None:
    method = Search(width=2, expansions=2, stop_below=0.3)
    going, done = method.keep([branch(0.1, "0"), branch(0.3, "1")], [])
    assert [one.path for one in going] == ["1"] and done == []
    going, done = method.keep([branch(0.1, "0"), branch(0.2, "1")], [])
    assert going == [] and [(one.path, one.trace.finish_reason) for one in done if one.trace] == [("1", "hopeless")]
    written = branch(0.1, "0", "stop")
    assert method.keep([written], []) == ([], [written]), "what has come to its end costs nothing more"
    assert method.keep([branch(0.1, "0")], [written]) == ([], [written])


def test_incomplete_thoughts_are_not_scored() -> None:
    open_thinking = piece("<think>\na.\nb: Wait, ", "length").trace
    assert thoughts_of(open_thinking) == ("\na.\n",)
    assert thoughts_of(piece("no thinking at all", "stop").trace) == ()
