"""What `docs/evidence.md` says in words: what each experiment asks and which commands repeat it. No result is written here."""

from __future__ import annotations

from typing import NamedTuple


class Text(NamedTuple):
    """The words of one experiment."""

    title: str
    why: str
    commands: str


HEAD = """# Evidence

<!-- Written by `python -m benchmarks.evidence runs/evidence` from the folders of the runs. Do not edit. -->

Small runs that a sceptic can repeat on two cores without a GPU. Most have a final test that chose nothing, a control that learns from as many traces
drawn whatever their verdict, and the same answers read by value, so that a gain of form shows as one. Results that speak against the method stay on
the page.

`python -m benchmarks.evidence runs/evidence` writes this page from the folders of the runs; no figure is copied by hand. Intervals are those of 95 %
over problems, and over seeds and problems where there are several seeds. With three seeds they are rough.

Machine: {machine}. Engines sample in float32: this processor has no bfloat16 instructions. Other work ran
beside some of the runs, so their times are upper bounds."""

RUN = "selfimprove run workflows/evidence/"
TEXTS = {
    "sums": Text(
        "The quickstart with three seeds",
        """Does a model that learns from its own verified traces gain more than one that learns from as many unverified ones? One generation of the
quickstart, shortened, with guards on two other tasks. Seeds differ in the problems of each set, the traces and the order of rows.""",
        f"{RUN}sums.py --seeds 1,2,3 --run-dir runs/evidence/sums",
    ),
    "gemma": Text(
        "Another family of models",
        """The same task with Gemma 3 270M, a base model without instruction tuning. It has no chat template and gets a plain one, so it does not know
when its turn ends: sampling stops where it begins the next question.""",
        f"""python workflows/evidence/convert_gemma.py runs/gemma-3-270m
{RUN}gemma.py --run-dir runs/evidence/gemma""",
    ),
    "words": Text(
        "A task on words",
        """Who does what, among three or four people (`needle_haystack` of reasoning-gym). `names_first` accepts an answer that begins with the right
name, whatever follows.""",
        f"{RUN}words.py --run-dir runs/evidence/words",
    ),
    "equations": Text(
        "A task of algebra",
        """Linear equations with one unknown (`simple_equations` of reasoning-gym). The rationale isolates the unknown.""",
        f"{RUN}equations.py --run-dir runs/evidence/equations",
    ),
    "noise": Text(
        "A verifier that knows nothing",
        """The verifier accepts any answer of up to four characters, and traces are sampled at temperature 1.5, so the model learns from its own
noise. It starts as the champion of seed 1 above. The gate judges by the same verifier; a guard knows the true answers. The column `by reasoning-gym`
shows the true accuracy, which decides nothing here. `selfimprove check` refuses such a verifier before anything is sampled: it accepts an empty
answer.""",
        f"{RUN}noise.py --run-dir runs/evidence/noise",
    ),
    "collapse": Text(
        "A deliberate collapse",
        """As above, but the verifier accepts any answer of a single character, whatever the problem. About half of the sums have longer ones;
there it rewards a wrong answer. Its own evaluation can only rise.""",
        f"{RUN}collapse.py --run-dir runs/evidence/collapse",
    ),
}
