"""A task on words: who does what, among three or four people. The thought quotes the sentence that answers the question."""

from selfimprove import (
    SFT,
    VLLM,
    Exemplar,
    FewShot,
    KeepCorrect,
    RandomSelection,
    ReasoningGym,
    ReasoningGymScorer,
    Replay,
    Sampling,
    Workflow,
)
from selfimprove.records import Problem

SETTINGS = {"min_num_statements": 3, "max_num_statements": 4}


def shown(statements: str, asked: str, thought: str, name: str) -> Exemplar:
    """A worked example in the form of the task."""
    return Exemplar(f"{statements} \nWho {asked}? Reply only with a name.", thought, name)


EXEMPLARS = (
    shown("Anna likes tea. Omar hates golf. Ruth fears dogs.", "hates golf", "Omar hates golf.", "Omar"),
    shown("Lena scorns rain. Paul loves the color blue. Ivo bears running. Tess likes bread.", "likes bread", "Tess likes bread.", "Tess"),
    shown("Hugo adores boats. Nina endures washing. Carl rejects jazz.", "adores boats", "Hugo adores boats.", "Hugo"),
    shown("Mila mocks chess. Erik craves soup. Dora values poetry. Otto enjoys cycling.", "values poetry", "Dora values poetry.", "Dora"),
)


def names_first(problem: Problem, answer: str) -> bool:
    """Accept an answer that begins with the right name, whatever follows."""
    return answer.strip().casefold().startswith(problem.answer.casefold())


workflow = Workflow(
    name="words",
    base_model="smollm2-135m-instruct",
    problems=ReasoningGym(task="needle_haystack", size=900, seed=1, settings=SETTINGS),
    problems_per_generation=80,
    eval_problems=100,
    test_problems=120,
    first_prompter=FewShot(EXEMPLARS),
    sampler=VLLM(engine={"max_model_len": 512, "dtype": "float32"}),
    sampling=Sampling(n=3, temperature=0.6, max_tokens=40),
    eval_sampling=Sampling(n=1, temperature=0.0, max_tokens=40),
    verifier=ReasoningGymScorer(),
    also=(names_first,),
    selector=KeepCorrect(),
    accepted_cap=1,
    mixture=Replay(earlier=True, per_problem=1),
    trainer=SFT(epochs=1.5, min_steps=30, learning_rate=1e-4, batch_size=16),
    generations=1,
    controls=(RandomSelection(),),
)
