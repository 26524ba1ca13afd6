"""A model that the hub does not give is named with the reason, in one line. The hub is a server on loopback."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from selfimprove import UserError
from selfimprove.checkpoints.base_models import resolve_model

CODES = {"gated": (403, "GatedRepo"), "nobody": (404, "RepoNotFound"), "private": (401, "RepoNotFound"), "broken": (500, None)}


class Hub(BaseHTTPRequestHandler):
    """Refuses each model in the way that its name says."""

    def do_GET(self) -> None:
        status, code = CODES[self.path.split("/models/")[-1].split("/")[1]]
        self.send_response(status)
        if code:
            self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *arguments: object) -> None: ...


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    from huggingface_hub import constants

    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}"
        for name, value in {
            "ENDPOINT": address,
            "HF_HUB_OFFLINE": False,
            "HF_HUB_CACHE": str(tmp_path),
            "HF_TOKEN_PATH": str(tmp_path / "token"),
        }.items():
            monkeypatch.setattr(constants, name, value)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        yield address
        server.shutdown()


def refused(name: str) -> str:
    with pytest.raises(
        UserError, match=rf"base model 'someone/{name}' is not a local folder and cannot be downloaded from the Hugging Face hub: "
    ) as caught:
        resolve_model(f"someone/{name}")
    assert "\n" not in str(caught.value)
    return str(caught.value).partition("hub: ")[2]


def test_the_hubs_refusals_are_told_apart(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    needs = "no token is set (HF_TOKEN, or `hf auth login`)"
    assert refused("gated") == f"it is gated: accept its conditions at {hub}/someone/gated, with the account of the token; {needs}"
    for name in ("nobody", "private"):
        assert refused(name) == f"there is no such model, or it is private: check the name; {needs}"
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    assert refused("gated").endswith("; the token has no access")


def test_a_hub_out_of_reach_and_one_that_is_not_to_be_asked_are_told_apart(hub: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from huggingface_hub import constants

    assert "does not answer and the cache does not have it" in refused("broken")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert refused("gated").startswith("HF_HUB_OFFLINE is set and the cache does not have it")
