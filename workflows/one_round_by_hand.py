"""One round by hand, with the parts of the quickstart on a few of its problems: look at each record as it is made.

Open it as a notebook (every `# %%` starts a cell), or run `python workflows/one_round_by_hand.py`. Everything runs in this process.
"""

# %% The parts, and where they run.
from collections import Counter
from pathlib import Path

from quickstart import workflow

from selfimprove import (
    Behaviours,
    InlineCluster,
    Outcome,
    ask,
    describe_folder,
    dissect,
    evaluate,
    load_sets,
    parsed,
    resolve_model,
    sample,
    select,
    train,
    verify,
)

cluster = InlineCluster()
base = describe_folder(resolve_model(workflow.base_model), "base")
print(f"{base.id}: {base.path}")

# %% A problem is a question and its reference answer; evaluation problems are set aside.
problems, eval_problems = load_sets(workflow.problems, workflow.eval_problems, workflow.seed)
problems, eval_problems = problems[:60], eval_problems[:20]
print(f"{len(problems)} problems, {len(eval_problems)} evaluation problems; the first: {problems[0].question!r} → {problems[0].answer!r}")

# %% A request is a chat and how to sample it. The base model sees exemplars, because it does not reason by itself.
requests = ask(problems, workflow.first_prompter or workflow.prompter, workflow.sampling, "by-hand", workflow.seed)
print(f"{len(requests)} requests; the first, {requests[0].id}, at temperature {requests[0].temperature}, seed {requests[0].seed}:")
for message in requests[0].messages:
    print(f"  {message['role']}: {message['content']!r}")

# %% A trace is the model's output for a request, token for token.
traces = [trace for batch in sample(workflow.sampler, base, requests, cluster) for trace in batch]
trace = min(traces, key=lambda trace: trace.id)
print(f"{trace.id}: {trace.output_tokens} tokens, {trace.finish_reason}\n{trace.text}")

# %% Its thinking is a sequence of thoughts, each with a reasoning behaviour; the answer follows.
for thought, behaviour in dissect(trace, Behaviours()):
    print(f"{behaviour:>12}: {thought.text.strip()}")
print(f"{'answer':>12}: {parsed(trace).answer}")

# %% A verdict is the verifier's judgement of an answer, made in a process that is killed at its deadline.
judged = [item for batch in verify(workflow.verifier, problems, [traces], cluster, workflow.verifier_deadline) for item in batch]
print(dict(Counter(item.verdict.outcome.value for item in judged)))
right = next(item for item in judged if item.verdict.outcome is Outcome.CORRECT)
print(f"{right.verdict.trace_id}: {right.verdict.answer!r} is {right.verdict.outcome} to {right.verdict.verifier}\n{right.trace.text}")

# %% An accepted trace is a training row: the plain question without the exemplars, and the completion.
selection = select(workflow.selector, judged, problems, workflow.prompter, generation=1)
rows = workflow.mixture.rows([selection.accepted], workflow.seed)
print(f"{len(selection.accepted)} accepted, dropped: {dict(selection.drops)}; {len(rows)} rows; the first:")
for message in rows[0].messages:
    print(f"  {message['role']}: {message['content']!r}")
print(f"  assistant: {rows[0].completion!r}")

# %% A checkpoint is a model folder with the id of its parent and a hash of its weights.
folder = Path("runs/one-round-by-hand/checkpoint").absolute()
student = train(
    workflow.trainer,
    base,
    rows,
    folder,
    cluster,
    checkpoint_id="student",
    generation=1,
    seed=workflow.seed,
    on_step=lambda step: print(f"step {step.step} of {step.steps}: loss {step.loss:.3f}, {step.tokens:,} tokens"),
)
print(f"{student.id}, child of {student.parent_id}: {student.path}, weights {student.weights_hash[:12]}")

# %% A score is the result of an evaluation on the plain question; the gate compares two, problem by problem.
before, after = (
    evaluate(workflow.sampler, workflow.verifier, model, eval_problems, workflow.prompter, cluster, decoding=workflow.eval_sampling)
    for model in (base, student)
)
for score in (before, after):
    print(f"{score.checkpoint_id}: pass@1 {score.pass_at_1:.3f} ({score.interval[0]:.2f}–{score.interval[1]:.2f}), {dict(score.outcomes)}")
decision = workflow.gate.decide(before, after)
print(f"{'kept' if decision.promote else 'refused'}: {decision.why}")

# %% Stop every process that was started.
cluster.close()
