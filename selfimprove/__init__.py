"""Teach a language model to reason and let it improve itself.

    from pathlib import Path
    from selfimprove import SFT, VLLM, Exemplar, FewShot, LastNumber, RayCluster, ReasoningGym, Sampling, Workflow, improve

    workflow = Workflow(
        name="sums",
        problems=ReasoningGym("chain_sum", size=400, settings={"max_terms": 3, "max_digits": 1}), eval_problems=100,
        first_prompter=FewShot((Exemplar("What is 4 + 3 - 2?", "4 + 3 = 7.\\n7 - 2 = 5.", "5"),)),
        sampler=VLLM(engine={"max_model_len": 512}), sampling=Sampling(n=4, temperature=0.7, max_tokens=64),
        verifier=LastNumber(), trainer=SFT(), generations=2)
    champion = improve(workflow, Path("runs/sums"), RayCluster)

In each generation the champion samples reasoning traces, a verifier checks their answers, a selector keeps the good ones, and a trainer makes a
candidate from them. The candidate is evaluated on problems that it never trained on, and a gate decides whether it becomes the champion.
`champion.path` is an ordinary model folder; everything else is in `runs/sums`. The same call continues a run that was stopped.

A workflow names the part that plays each role. Every part is a small dataclass whose fields are its settings: docs/reference/settings.md lists them
all. `Jsonl("sums.jsonl")` reads your own problems, `{"question": …, "answer": …}` on each line.

`ask`, `sample`, `select`, `train` and `evaluate` are the steps of a generation, on the context that `open_run_context` opens:
workflows/one_round_by_hand.py takes them one by one, workflows/custom_round.py puts them in another order. The records that they pass on are in
`selfimprove.records`. `selfimprove.protocols` says what each part must do, so that you can write your own (docs/how-to/extending.md). A `UserError`
is an error that you can fix: one line that says how.
"""

import lazy_loader

# The public names stand in `__init__.pyi`, for type checkers and for this loader, which imports a module when one of its names is first used: all of
# them together take most of a second, for which `selfimprove --help` would wait.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
