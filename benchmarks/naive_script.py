"""The script that a user would write: a new process for every stage, vLLM started for each sampling, stock `SFTTrainer`, answers verified afterwards.

`python naive_script.py run SETUP.json FOLDER`. It does not import selfimprove; SETUP.json holds the same problems, prompts and settings.
"""

import json
import math
import random
import re
import subprocess
import sys
import time
from pathlib import Path

ENGINE = {
    "dtype": "bfloat16",
    "max_model_len": 512,
    "max_num_seqs": 256,
    "enforce_eager": True,
    "kv_cache_memory_bytes": 1 << 30,
    "enable_chunked_prefill": False,
    "max_num_batched_tokens": 4096,
}
"""Compilation, or a cache of the default size, would take minutes on the CPU."""
SIMPLE = re.compile(r"(-?\d+) ([-+]) (-?\d+) = (-?\d+)")


def sample(setup, model, asked, into):
    """Read ids and chats from `asked` and write the completions."""
    from vllm import LLM, SamplingParams

    rows = json.loads(Path(asked).read_text())
    evaluation = rows["evaluation"]
    parameters = SamplingParams(
        n=1 if evaluation else setup["samples"],
        temperature=0.0 if evaluation else setup["temperature"],
        max_tokens=setup["max_tokens"],
        seed=rows["seed"],
    )
    chats = [row["chat"] for row in rows["rows"]]
    outputs = LLM(model, **ENGINE).chat(chats, parameters, use_tqdm=False)
    found = [
        {"id": row["id"], "text": one.text, "tokens": len(one.token_ids), "finish": one.finish_reason}
        for row, output in zip(rows["rows"], outputs, strict=True)
        for one in output.outputs
    ]
    Path(into).write_text(json.dumps(found))


def train(setup, rows, into):
    """Fine-tune the base model on prompts and completions."""
    import torch
    from datasets import Dataset
    from trl import SFTConfig, SFTTrainer

    data = json.loads(Path(rows).read_text())
    settings = SFTConfig(
        output_dir=f"{into}-scratch",
        use_cpu=not torch.cuda.is_available(),
        per_device_train_batch_size=setup["batch"],
        max_steps=max(setup["min_steps"], math.ceil(setup["epochs"] * math.ceil(len(data) / setup["batch"]))),
        learning_rate=setup["rate"],
        warmup_steps=setup["warmup"],
        max_length=512,
        save_strategy="no",
        report_to="none",
        disable_tqdm=True,
    )
    trainer = SFTTrainer(setup["model"], args=settings, train_dataset=Dataset.from_list(data))
    trainer.train()
    trainer.save_model(into)


def right(answer, text):
    """Whether the text after the thinking equals the answer and the thinking states no false sum."""
    from math_verify import parse, verify

    thinking, closed, after = text.partition("</think>")
    if not closed or not verify(parse(f"${answer}$"), parse(after)):
        return False
    return all((int(a) + int(b) if sign == "+" else int(a) - int(b)) == int(c) for a, sign, b, c in SIMPLE.findall(thinking))


def run(setup_file, folder):
    """Run three generations: sample, verify, train, evaluate."""
    setup, folder = json.loads(Path(setup_file).read_text()), Path(folder)
    folder.mkdir(parents=True)
    answers = {row["id"]: row["answer"] for row in setup["train"] + setup["eval"]}

    def stage(*arguments):
        subprocess.run([sys.executable, __file__, *map(str, arguments)], check=True)

    def completions(model, rows, key, evaluation, name, seed):
        asked, into = folder / f"{name}-asked.json", folder / f"{name}.json"
        asked.write_text(json.dumps({"evaluation": evaluation, "seed": seed, "rows": [{"id": row["id"], "chat": row[key]} for row in rows]}))
        stage("sample", setup_file, model, asked, into)
        return json.loads(into.read_text())

    def evaluate(model, name):
        found = completions(model, setup["eval"], "plain", True, name, 0)
        solved = sum(right(answers[one["id"]], one["text"]) for one in found)
        print(f"naive: {name}: {solved / len(found):.3f} after {time.monotonic() - begin:.0f} s", flush=True)
        return solved

    begin = time.monotonic()
    champion, best = setup["model"], evaluate(setup["model"], "base")
    accepted = {}
    for generation in range(1, setup["generations"] + 1):
        rows = [row for row in setup["train"] if row["id"] not in accepted]
        found = completions(champion, rows, "first" if generation == 1 else "plain", False, f"sampled-{generation}", generation)
        kept = [one for one in found if one["finish"] == "stop" and right(answers[one["id"]], one["text"])]
        for one in kept:
            accepted.setdefault(one["id"], one["text"])
        plain = {row["id"]: row["plain"] for row in setup["train"]}
        data = [{"prompt": plain[name], "completion": [{"role": "assistant", "content": text}]} for name, text in accepted.items()]
        random.Random(generation).shuffle(data)
        (folder / f"rows-{generation}.json").write_text(json.dumps(data))
        stage("train", setup_file, folder / f"rows-{generation}.json", folder / f"model-{generation}")
        solved = evaluate(str(folder / f"model-{generation}"), f"generation-{generation}")
        if solved >= best:
            champion, best = str(folder / f"model-{generation}"), solved
    print(f"naive: {time.monotonic() - begin:.1f} s", flush=True)


if __name__ == "__main__":
    command, *rest = sys.argv[1:]
    if command == "run":
        run(*rest)
    else:
        {"sample": sample, "train": train}[command](json.loads(Path(rest[0]).read_text()), *rest[1:])
