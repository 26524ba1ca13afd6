"""Teach a language model to reason and let it improve itself.

In each generation the champion samples traces of thought, a verifier judges their answers, a selector keeps what is good enough, a trainer makes the
candidate, and after its evaluation a gate says whether it is champion from there on. A workflow says which part plays each role; a part is a small
dataclass whose fields are its settings:

    from pathlib import Path
    from selfimprove import *

    workflow = Workflow(
        name="sums",
        problems=Jsonl("sums.jsonl"),            # {"question": …, "answer": …} a line
        eval_problems=100,                            # so many are set apart for the evaluation
        first_prompter=FewShot((Exemplar("What is 4 + 3?", "4 + 3 = 7.", "7"),)),
        sampler=VLLM(engine={"max_model_len": 512}),
        sampling=Sampling(n=4, temperature=0.7, max_tokens=64),
        verifier=LastNumber(),
        trainer=SFT(),
        generations=3,
    )
    champion = improve(workflow, Path("runs/sums"), RayCluster)

`champion.path` is an ordinary model folder; everything else is in `runs/sums`. The same call continues a run that was stopped.

`ask`, `sample`, `verify`, `select`, `train` and `evaluate` are the verbs of a generation: workflows/one_round_by_hand.py goes through them and looks
at each record, workflows/custom_round.py puts them in another order. `selfimprove.protocols` says what each part must do, so that you can write one
(docs/how-to/extending.md); `selfimprove.records` says what flows between them; docs/reference/settings.md has every setting. An error that you can
mend is a `UserError`: one line that says what to do.
"""

import lazy_loader

# Each part is loaded when its name is first used: all of them together take most of a second, which `selfimprove --help` would wait for.
__getattr__, __dir__, _ = lazy_loader.attach_stub(__name__, __file__)

# In the order in which they are met, not in that of the alphabet.
__all__ = [  # noqa: RUF022
    # a run, and what ends it with a line to read
    "Workflow",
    "Round",
    "improve",
    "UserError",
    "WorkerFailed",
    # problems
    "Jsonl",
    "HubDataset",
    "ReasoningGym",
    "Contamination",
    "load_sets",
    # asking
    "PlainQuestion",
    "ZeroShot",
    "FewShot",
    "Exemplar",
    "Rationalization",
    "Teacher",
    # sampling
    "VLLM",
    "Endpoint",
    "Sampling",
    "Budget",
    "BudgetByDifficulty",
    "SwitchPenalty",
    "FixedK",
    "ExpectedGain",
    "Resources",
    # thinking
    "Delimiters",
    "parsed",
    "Behaviour",
    "Behaviours",
    "Cue",
    "dissect",
    "ThinkingProbe",
    # verification
    "Exact",
    "LastNumber",
    "Mathematical",
    "MultipleChoice",
    "PythonTests",
    "ReasoningGymScorer",
    # selection
    "KeepCorrect",
    "KeepMajority",
    "Caps",
    "Replay",
    "PreferencePairs",
    "pair_up",
    # training
    "SFT",
    "DPO",
    "GRPO",
    "OnPolicyDistillation",
    # thoughts that are rewarded
    "Rollouts",
    "RewardTrainer",
    "RewardModel",
    "StepRewards",
    "Search",
    # difficulty that is predicted
    "DifficultyModel",
    "Embedder",
    # what becomes of a candidate
    "NotWorse",
    "StrictGate",
    "AlwaysPromote",
    "StopEarly",
    # where work runs, and who is told
    "Cluster",
    "InlineCluster",
    "RayCluster",
    "MLflow",
    "NoTracker",
    # the verbs of a round, and the models it begins with
    "ask",
    "sample",
    "open_run_context",
    "RunContext",
    "select",
    "train",
    "evaluate",
    "resolve_model",
    "describe_folder",
    # records, in the order in which they are made
    "Problem",
    "Message",
    "Request",
    "Trace",
    "Usage",
    "Outcome",
    "Verdict",
    "Probe",
    "JudgedTrace",
    "AcceptedTrace",
    "Selection",
    "Pair",
    "VerifierRow",
    "ReinforcementPrompt",
    "LabelledTrace",
    "TrainingStep",
    "Checkpoint",
    "Score",
    "Decision",
    "Coverage",
    "LedgerEntry",
    "GenerationReport",
]
