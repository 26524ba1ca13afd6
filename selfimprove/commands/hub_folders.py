"""Two folders for the Hugging Face hub, each with its card: the champion as a model, and the traces of its run as a data set."""

from __future__ import annotations

import json
import shlex
import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import Any

from rich.console import Console
from rich.text import Text

from selfimprove.checkpoints.folders import TOKENIZER_FILES, require_model
from selfimprove.checkpoints.saving import complete_folder
from selfimprove.errors import UserError
from selfimprove.errors.redaction import HIDDEN, is_secret
from selfimprove.records import AcceptedTrace, JudgedTrace, Problem
from selfimprove.records.delimiters import THINK, Delimiters
from selfimprove.reports.cards import dataset_card, model_card
from selfimprove.reports.table import summarize
from selfimprove.selection.replay import GENERAL
from selfimprove.storage.averaged import candidate_folder
from selfimprove.storage.files import read_records
from selfimprove.storage.run_folder import RunFolder
from selfimprove.storage.shards import stored
from selfimprove.terminal.safe_text import plain_line
from selfimprove.thinking.traces import parsed

HERE_ONLY = {"local_files_only", "is_local", "name_or_path", "_name_or_path"}
"""Entries of tokenizer and model configurations that say where they were loaded from."""


def export(run: RunFolder, folder: Path, license: str | None = None) -> dict[str, Any]:
    """Lay out `folder/model` and `folder/traces`, without paths of this machine and without keys.

    `model` is the champion with tokenizer, chat template and a `response_template`, by which `vllm serve --reasoning-parser hf` and
    `tokenizer.parse_response` tell thinking from answer. `traces` holds every sampled trace with its verdict (split `train`), those of the
    evaluations (`test`), and the rows that the champion was trained on (configuration `rows`).

    Args:
        license: license of both, as the hub names it. None: the model's card names the license of the embedded model if that is the base; the data
            set's card names none.

    Returns:
        `{"model", "traces": the two folders, "next": commands to upload and serve them}`.

    Raises:
        UserError: there is no run, it kept only its base model, or `folder` is not empty.
    """
    settings, reports = public(run.settings()), run.reports()
    if not reports or reports[-1].kept.generation == 0:
        raise UserError(f"{run} has kept only its base model so far: there is nothing to export")
    if folder.exists() and not (folder.is_dir() and not any(folder.iterdir())):
        raise UserError(f"{folder} is not empty; give a new folder")
    kept, figures = reports[-1].kept, summarize(run)
    champion = Path(run.champion().path)
    with complete_folder(folder) as half:
        _copy_model(champion, half / "model", _delimiters(settings))
        rows = _rows(run, kept.generation)
        counts = _write_data(run, half / "traces" / "data", rows)
        example = rows[0] if rows else None
        sources = sorted({_public_source(problem.source) for problem in run.problems_by_id("train", "eval").values()})
        (half / "model" / "README.md").write_text(model_card(figures, settings, sources, example, license))
        (half / "traces" / "README.md").write_text(dataset_card(figures, settings, sources, counts, license))
    model, traces = (shlex.quote(str(folder / name)) for name in ("model", "traces"))
    name = shlex.quote(f"OWNER/{settings['name']}")
    more = shlex.quote(f"OWNER/{settings['name']}-traces")
    commands = [
        f"hf upload {name} {model}",
        f"hf upload {more} {traces} --repo-type dataset",
        f"vllm serve {model} --reasoning-parser hf",
    ]
    return {"model": str(folder / "model"), "traces": str(folder / "traces"), "next": commands}


def show_exported(result: Mapping[str, Any], console: Console) -> None:
    """Print where the folders are, and the commands that upload and serve them."""
    console.print(Text(plain_line(f"{result['model']} and {result['traces']} are ready:")), soft_wrap=True)
    for line in result["next"]:
        console.print(Text(plain_line(f"  {line}")), soft_wrap=True)


def public(value: Any, name: str = "") -> Any:
    """JSON data without private values: paths of this machine are cut to their last name, addresses and keys are replaced by `…`."""
    if isinstance(value, Mapping):
        return {key: public(item, str(key)) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [public(item, name) for item in value]
    if not isinstance(value, str):
        return value
    if is_secret(name) or name == "key_from" or HIDDEN in value or "://" in value:
        return "…"
    return PurePosixPath(value).name if value.startswith(("/", "~/", "./", "../")) else value


def _public_source(source: str) -> str:
    """`hub:/home/someone/sums` as `hub:sums`."""
    kind, _, name = source.partition(":")
    return f"{kind}:{public(name)}" if name else source


def _delimiters(settings: Mapping[str, Any]) -> Delimiters:
    own = settings.get("delimiters")
    return Delimiters(own["begin"], own["end"]) if own else THINK


def _copy_model(champion: Path, into: Path, delimiters: Delimiters) -> None:
    require_model(champion)
    into.mkdir(parents=True)
    weights = [*champion.glob("*.safetensors"), *champion.glob("*.safetensors.index.json")]
    for file in (*weights, *(champion / name for name in (*TOKENIZER_FILES, "config.json", "generation_config.json"))):
        if file.is_file():
            shutil.copyfile(file, into / file.name)
    template = _response_template(into, delimiters)
    for name in ("config.json", "generation_config.json", "tokenizer_config.json"):
        if (into / name).exists():
            entries = json.loads((into / name).read_text())
            own = {key: value for key, value in entries.items() if key not in HERE_ONLY and not _is_path(value)}
            if name == "tokenizer_config.json" and template:
                own["response_template"] = template
            (into / name).write_text(json.dumps(own, indent=2, ensure_ascii=False) + "\n")


def _is_path(value: Any) -> bool:
    return isinstance(value, str) and value.startswith("/") and len(value) > 1


def _response_template(model: Path, delimiters: Delimiters) -> dict[str, Any] | None:
    """How transformers is to split an answer of this model; None if its chat template does not show where an answer begins."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(model, local_files_only=True)
    chat = [{"role": "user", "content": "?"}]
    asked, before = (tokenizer.apply_chat_template(chat, add_generation_prompt=prompt, tokenize=False) for prompt in (True, False))
    # A template may open the thinking block itself; the answer begins before it.
    anchor = asked.removeprefix(before).partition(delimiters.begin)[0]
    if not anchor or anchor == asked:
        return None
    content = {"close": tokenizer.eos_token} if tokenizer.eos_token else {}
    fields = {"thinking": {"open": delimiters.begin, "close": delimiters.end}, "content": content}
    return {"defaults": {"role": "assistant"}, "start_anchor": anchor, "fields": fields}


def _rows(run: RunFolder, generation: int) -> list[AcceptedTrace]:
    """Rows that the champion was trained on, without those of instruction data, which is another data set; none after reinforcement."""
    file = run.generation(generation) / "rows.parquet"
    return [row for row in read_records(file, AcceptedTrace) if row.origin != GENERAL] if file.exists() else []


def _write_data(run: RunFolder, into: Path, rows: list[AcceptedTrace]) -> dict[str, int]:
    """Write the Parquet files of the data set; the number of traces in each split, and of rows."""
    into.mkdir(parents=True)
    problems = {name: run.problems_by_id(name) for name in ("train", "eval")}
    counts = {"train": 0, "test": 0, "rows": len(rows)}
    for report in run.reports():
        folder, number = run.generation(report.generation), report.generation
        accepted = folder / "accepted.parquet"
        kept = {row.trace_id for row in read_records(accepted, AcceptedTrace)} if accepted.exists() else set()
        sampled = (_row(item, problems["train"], number, item.trace.id in kept) for item in stored(folder))
        evaluation = (_row(item, problems["eval"], number, False) for item in stored(candidate_folder(run, number) / "evaluation"))
        counts["train"] += _write(into / f"train-generation-{number:02d}.parquet", sampled)
        counts["test"] += _write(into / f"test-generation-{number:02d}.parquet", evaluation)
    _write(into / "rows.parquet", ({"prompt": list(row.messages), "completion": row.completion, "origin": row.origin} for row in rows))
    return counts


def _row(item: JudgedTrace, problems: Mapping[str, Problem], generation: int, accepted: bool) -> dict[str, Any]:
    trace, problem = item.trace, problems[item.trace.problem_id]
    return {
        "id": trace.id,
        "problem_id": problem.id,
        "question": problem.question,
        "reference": problem.answer,
        "source": _public_source(problem.source),
        "text": trace.text,
        "thinking": parsed(trace).thinking or "",
        "answer": item.verdict.answer or "",
        "outcome": item.verdict.outcome.value,
        "verifier": item.verdict.verifier,
        "accepted": accepted,
        "generation": generation,
        "checkpoint": trace.checkpoint_id,
        "temperature": float(trace.temperature),
        "seed": trace.seed,
        "output_tokens": trace.output_tokens,
        "finish_reason": trace.finish_reason,
    }


def _write(file: Path, rows: Iterator[dict[str, Any]], batch: int = 1024) -> int:
    """Write a Parquet file with `batch` rows in memory at a time, and return the number of rows. Without rows no file is written."""
    import pyarrow
    from pyarrow import parquet

    count, writer = 0, None
    try:
        for some in _batches(rows, batch):
            table = pyarrow.Table.from_pylist(some)
            writer = writer or parquet.ParquetWriter(file, table.schema)
            writer.write_table(table)
            count += len(some)
    finally:
        if writer:
            writer.close()
    return count


def _batches(rows: Iterable[dict[str, Any]], size: int) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
