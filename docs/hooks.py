"""Make links that leave `docs/` work on the site: every file of the repository that a page links to becomes a page under `repository/`."""

import posixpath
import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PREFIX = "repository/"
LINK = re.compile(r"(\]\()(?!\w+:|#)([^)#\s]+)")
LANGUAGES = {".py": "python", ".yaml": "yaml", ".toml": "toml"}


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add a page for each linked file outside `docs/`, and for the files that those link to in turn."""
    waiting = [f"docs/{file.src_uri}" for file in files.documentation_pages()]
    seen = set(waiting)
    while waiting:
        page = waiting.pop()
        if not page.endswith(".md"):
            continue
        for _, link in LINK.findall((ROOT / page).read_text()):
            target = posixpath.normpath(posixpath.join(posixpath.dirname(page), link))
            if target not in seen and not target.startswith("docs/") and (ROOT / target).is_file():
                seen.add(target)
                waiting.append(target)
                files.append(File.generated(config, site_path(target), content=content(target)))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Turn links between files of the repository into links between pages of the site."""
    here = page.file.src_uri
    source = here.removeprefix(PREFIX) if here.startswith(PREFIX) else f"docs/{here}"

    def moved(link: re.Match[str]) -> str:
        target = posixpath.normpath(posixpath.join(posixpath.dirname(source), link[2]))
        if not (ROOT / target).is_file():
            return link[0]
        return link[1] + posixpath.relpath(site_path(target), posixpath.dirname(here))

    return LINK.sub(moved, markdown)


def site_path(target: str) -> str:
    """Where a file of the repository is on the site."""
    if target.startswith("docs/"):
        return target.removeprefix("docs/")
    return PREFIX + (target if target.endswith(".md") else f"{target}.md")


def content(target: str) -> str:
    """A page as it is; any other file as a block of code, which the search leaves out."""
    text = (ROOT / target).read_text()
    if target.endswith(".md"):
        return text
    return f"---\nsearch:\n  exclude: true\n---\n# {target}\n\n````{LANGUAGES.get(Path(target).suffix, 'text')}\n{text}\n````\n"
