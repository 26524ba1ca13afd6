"""`sums.py` with Gemma 3 270M, a base model of another family, as `convert_gemma.py` makes it; fewer problems and shorter training, since a step
costs more: most of its weights are the embeddings of 262,144 tokens."""

from dataclasses import replace

import sums

# A base model is not used to ending a text: after its answer it writes the next question, too.
STOP = {"stop": ["\n\nUser:"]}

workflow = replace(
    sums.workflow,
    name="gemma",
    base_model="runs/gemma-3-270m",
    problems_per_generation=60,
    eval_problems=60,
    test_problems=100,
    guards={},
    trainer=replace(sums.workflow.trainer, min_steps=20, batch_size=8),
    sampling=replace(sums.workflow.sampling, extra=STOP),
    eval_sampling=replace(sums.workflow.eval_sampling, extra=STOP),
)
