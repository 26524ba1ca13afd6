"""Downloads a model from the Hugging Face hub, or says in one line why it cannot."""

from __future__ import annotations

from pathlib import Path

from selfimprove.checkpoints.weights import OTHER_FORMAT
from selfimprove.errors import UserError

WANTED = ["*.safetensors", "*.json", "*.jinja", "*.txt", "*.model"]
"""Files of a model that are downloaded."""


def download(name: str) -> Path:
    """The folder of a model in the hub's cache. Without network, what the cache holds is enough.

    Raises:
        UserError: there is no such model, it is private or gated, or neither the hub nor the cache has it.
    """
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(name, allow_patterns=WANTED, ignore_patterns=list(OTHER_FORMAT)))
    except Exception as error:
        raise UserError(
            f"base model {name!r} is not a local folder and cannot be downloaded from the Hugging Face hub: {_why(name, error)}"
        ) from error


def _why(name: str, error: BaseException) -> str:
    from huggingface_hub import constants, get_token
    from huggingface_hub.errors import GatedRepoError, LocalEntryNotFoundError, RepositoryNotFoundError

    chain = [error]
    while (cause := chain[-1].__cause__ or chain[-1].__context__) is not None and cause not in chain:
        chain.append(cause)
    token = "the token has no access" if get_token() else "no token is set (HF_TOKEN, or `hf auth login`)"
    if any(isinstance(one, GatedRepoError) for one in chain):
        return f"it is gated: accept its conditions at {constants.ENDPOINT}/{name}, with the account of the token; {token}"
    if any(isinstance(one, RepositoryNotFoundError) for one in chain):
        return f"there is no such model, or it is private: check the name; {token}"
    if constants.HF_HUB_OFFLINE:
        return "HF_HUB_OFFLINE is set and the cache does not have it; unset it, or point HF_HOME to a cache that has it"
    if isinstance(error, LocalEntryNotFoundError):
        first = next((str(one) for one in chain[1:] if str(one)), str(error))
        return f"{constants.ENDPOINT} does not answer and the cache does not have it ({_line(first)}); see HTTPS_PROXY, HF_ENDPOINT and HF_HOME"
    return _line(str(error)) or type(error).__name__


def _line(text: str) -> str:
    """The text as one line of at most 200 characters."""
    return " ".join(text.split())[:200]
