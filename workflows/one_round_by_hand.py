"""One round by hand, with the parts of the quickstart on a few of its problems: look at each record as it is made.

Open it as a notebook (every `# %%` starts a cell), or run `python workflows/one_round_by_hand.py`. Everything runs in this process. Complete
results are kept in `runs/one-round-by-hand`, and a second run after a stop continues from them.
"""

# %% Parts, problems and the base model. The run folder keeps the result of every stage.
from collections import Counter
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

from quickstart import workflow as quickstart

from selfimprove import InlineCluster, ask, evaluate, open_run_context, sample, select, train
from selfimprove.records import Outcome
from selfimprove.thinking.anatomy import dissect
from selfimprove.thinking.behaviours import Behaviours
from selfimprove.thinking.traces import parsed

stack = ExitStack()
workflow = replace(quickstart, name="one-round-by-hand", eval_problems=20)
context = stack.enter_context(open_run_context(workflow, Path("runs/one-round-by-hand"), InlineCluster))
folder, base, problems = context.run.root, context.base, context.problems[:60]
print(f"{base.id}: {base.path}")

# %% A problem is a question with its reference answer. Evaluation problems are set aside.
print(f"{len(problems)} problems, {len(context.eval_problems)} for evaluation; the first: {problems[0].question!r} → {problems[0].answer!r}")

# %% A request is a chat and how to sample its answer. The base model sees exemplars, because it does not reason by itself.
requests = ask(context, problems, "by-hand", workflow.first_prompter)
print(f"{len(requests)} requests; the first, {requests[0].id}, at temperature {requests[0].temperature}, seed {requests[0].seed}:")
for message in requests[0].messages:
    print(f"  {message['role']}: {message['content']!r}")

# %% A trace is the model's output for a request, token for token. Its verdict comes from a process that is killed at its deadline.
judged = list(sample(context, base, requests, problems, folder / "sampled").read())
trace = judged[0].trace
print(f"{trace.id}: {trace.output_tokens} tokens, {trace.finish_reason}\n{trace.text}")

# %% Its thinking is a sequence of thoughts, each with a reasoning behaviour; the answer follows.
for thought, behaviour in dissect(trace, Behaviours()):
    print(f"{behaviour:>12}: {thought.text.strip()}")
print(f"{'answer':>12}: {parsed(trace).answer}")

# %% A verdict has one of five outcomes.
print(dict(Counter(item.verdict.outcome.value for item in judged)))
right = next(item for item in judged if item.verdict.outcome is Outcome.CORRECT)
print(f"{right.verdict.trace_id}: {right.verdict.answer!r} is {right.verdict.outcome} to {right.verdict.verifier}\n{right.trace.text}")

# %% An accepted trace is a training row: the plain question without the exemplars, and the completion.
selection = select(context, judged, problems, generation=1)
rows = workflow.mixture.rows([selection.accepted], workflow.seed)
print(f"{len(selection.accepted)} accepted, dropped: {dict(selection.drops)}; {len(rows)} rows; the first:")
for message in rows[0].messages:
    print(f"  {message['role']}: {message['content']!r}")
print(f"  assistant: {rows[0].completion!r}")

# %% A checkpoint is a model folder with the id of its parent and a hash of its weights.
student, steps = train(context, base, rows, folder / "student", "student")
print(f"{len(steps)} steps, {steps[-1].tokens:,} tokens: loss {steps[0].loss:.3f} → {steps[-1].loss:.3f}")
print(f"{student.id}, child of {student.parent_id}: {student.path}, weights {student.weights_hash[:12]}")

# %% A score is the result of an evaluation on the plain question. The gate compares two, problem by problem.
before, after = (evaluate(context, model, folder / f"evaluation-{model.id}") for model in (base, student))
for score in (before, after):
    print(f"{score.checkpoint_id}: pass@1 {score.pass_at_1:.3f} ({score.interval[0]:.2f}–{score.interval[1]:.2f}), {dict(score.outcomes)}")
decision = workflow.gate.decide(before, after)
print(f"{'kept' if decision.promote else 'refused'}: {decision.why}")

# %% Close the cluster and every process that it started.
stack.close()
