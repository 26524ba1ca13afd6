"""What a verifier may do while it judges."""

from __future__ import annotations

from dataclasses import field
from typing import Annotated, Literal

from pydantic import Field
from pydantic.dataclasses import dataclass

from selfimprove.records.numbers import Int


@dataclass(frozen=True, config={"extra": "forbid"})
class Confinement:
    """How the process of a verifier is confined.

    A confined verifier computes and reads installed packages and modules that are loaded. It writes no file, opens no socket, starts no process, and
    sees no key or token in its environment. What else it needs is declared here. `prepare()` runs before the confinement begins.
    """

    when: Literal["always", "where possible", "never"] = "where possible"
    """`always`: the verifier is refused on a machine that cannot confine it; for verifiers that evaluate an answer, or call a library that does.
    `where possible`: on such a machine it runs with a warning. `never`: it runs with your rights."""
    read: tuple[str, ...] = ()
    """Files and folders that it reads."""
    scratch: bool = False
    """Whether it gets a temporary folder (`TMPDIR`), which its workers share."""
    network: bool = False
    """Whether it may connect to servers, as for an LLM that judges."""
    processes: bool = False
    """Whether it may start programs, which get the same access to files and networks."""
    environment: tuple[str, ...] = ()
    """Names of environment variables that it needs, such as that of a key."""
    memory: Annotated[Int, Field(ge=64)] = 2048
    """MiB of address space besides what is in use once it is loaded."""
    write: tuple[str, ...] = field(default=(), metadata={"described": False})
    """Folders that it reads and writes in, such as a cache; they must exist once `prepare()` has run."""
