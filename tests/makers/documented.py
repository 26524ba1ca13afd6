"""A folder in which the commands of the documentation can run: `runs/quickstart` is a finished run of toy parts."""

from __future__ import annotations

import shutil
from pathlib import Path

from places import ROOT
from toy import accept_champion, make_toy_model, toy_workflow

from selfimprove import InlineCluster, improve
from selfimprove.__main__ import main
from selfimprove.storage.kept_source import keep_source
from selfimprove.storage.run_folder import RunFolder

PAGES = (*sorted(ROOT.glob("*.md"), key=lambda page: page.name != "README.md"), *sorted((ROOT / "docs").rglob("*.md")))
EXPERIMENT = """from pathlib import Path

from toy import toy_workflow

workflow = toy_workflow(Path({model!r}))
"""


def make_documented_folder(folder: Path, champion: Path) -> Path:
    """Fill `folder` with the run (its champion is the model folder `champion`) and with every workflow file that the pages name."""
    model = make_toy_model(folder / "model", 0.3)
    run = RunFolder(folder / "runs" / "quickstart")
    improve(toy_workflow(model, generations=3), run.root, InlineCluster)
    (folder / "toy_experiment.py").write_text(EXPERIMENT.format(model=str(model)))
    keep_source(run, folder / "toy_experiment.py", [])
    kept = Path(run.reports()[-1].kept.path)
    shutil.rmtree(kept)
    shutil.copytree(champion, kept)
    accept_champion(run.root)
    (folder / "workflows").symlink_to(ROOT / "workflows")
    for name in ("WORKFLOW.py", "words.py"):
        assert main(["init", str(folder / name)]) == 0
    lines = (folder / "words.py").read_text().replace("VLLM,", "VLLM, Jsonl,").splitlines()
    # The edit that docs/how-to/your_data.md describes.
    own = ['    problems=Jsonl("problems.jsonl"),' if line.startswith("    problems=") else line for line in lines]
    (folder / "words.py").write_text("\n".join(own))
    return folder
