"""The tables of system calls agree with the kernel's headers."""

import re
from pathlib import Path

from pytest import MonkeyPatch, mark, raises

from selfimprove.verification.confined import system_calls

HEADERS = (Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"), Path("/usr/include/asm-generic/unistd.h"))
GROUPS = (system_calls.COMPUTING, system_calls.THREADS, system_calls.OWN_FILES, system_calls.NETWORK, system_calls.HARMFUL)
CONDITIONAL = (system_calls.SOLITARY, system_calls.THREAD_ONLY, system_calls.LOCAL_SOCKETS, system_calls.OPENING_BY_PATH)
TABLE = {name: numbers for group in GROUPS for name, numbers in group.items()} | {
    name: numbers for group in CONDITIONAL for name, (numbers, _) in group.items()
}


@mark.skipif(not all(path.exists() for path in HEADERS), reason="no kernel headers here")
@mark.parametrize("machine", [0, 1], ids=["x86-64", "aarch64"])
def test_the_numbers_are_the_headers_numbers(machine: int) -> None:
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text())}
    known.setdefault("fchmodat2", 452)  # Headers before Linux 6.6 lack it.
    if machine == 1:
        known["newfstatat"] = known.pop("fstatat")
    assert {name: numbers[machine] for name, numbers in TABLE.items()} == {name: known.get(name) for name in TABLE}


def test_no_number_of_a_table_is_given_twice() -> None:
    for machine in (0, 1):
        numbers = [numbers[machine] for numbers in TABLE.values() if numbers[machine] is not None]
        assert len(set(numbers)) == len(numbers)


def test_a_machine_without_a_table_has_no_filter(monkeypatch: MonkeyPatch) -> None:
    monkeypatch.setattr("os.uname", lambda: type("Name", (), {"machine": "riscv64"}))
    with raises(OSError, match="there is no system call filter for riscv64"):
        system_calls.only(system_calls.COMPUTING)
