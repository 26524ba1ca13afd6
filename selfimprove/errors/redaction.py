"""Hides secrets in text and in settings: the one redaction for whatever is printed, logged, stored or sent to a tracker.

Questions, answers and traces are data and are never redacted.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote

HIDDEN = "***"
"""Stands for a secret."""
SECRET_WORD = re.compile(
    r"(api|access|secret|private|account|shared|auth)?(key|token)|hubtoken|secrets?|passwords?|passwd|passphrase|passcode|pwd|pw"
    r"|sig|signature|sas|auth|authorization|credentials?|cookies?|bearer|jwt"
)
"""Last word of a name that names a secret."""
PLAIN_WORD = re.compile(
    r"bos|eos|pad|unk|sep|cls|mask|stop|begin|end|start|image|audio|video|special|added|think|per|max|min|new|next|last|first"
    r"|sort|group|primary|foreign|question|answer|text|label|input|output|data|metric|reward|cache|row|column|field|message|prompt|completion"
    r"|name|index|public|share"
)
"""A `…_key` or `…_token` after one of these words is none."""
PLURALS = re.compile(r"(api|access|auth|bearer|private|refresh|secret|session)[\W_]*(key|token)s", re.IGNORECASE)
FOLDERS = frozenset({"PWD", "OLDPWD"})
"""Variables in which shells keep the current and the last folder, and no password."""
SHORTEST = 6
"""Minimum number of characters of a value in the environment, or a part of a password, that is looked for by itself."""

_ADDRESS = re.compile(r"[\w+.-]+://")
_WORDS = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+")
# A window of 2,000 characters keeps the time linear.
_USER = re.compile(r"(?<![\w+.-])(?P<scheme>[\w+.-]*+)(?P<rest>://\S{0,2000}@|(?i:%3A%2F%2F)\S{0,2000}(?i:%40))")
_WORD = re.compile(r"\S*")
_NAMED = re.compile(r"""(?:(?<![\w.%-])|(?<=%[0-9A-Fa-f][0-9A-Fa-f]))(?P<name>[\w.-]++)(?:\\*["']\s*[:=]\s*|\s?=\s?(?!=)|(?i:%3D))""")
_HEADER = re.compile(r"""(?<![\w-])(?P<name>[A-Za-z][\w-]*+):[ \t]*""")
_VALUE = re.compile(r"""[bBrRuUfF]?(?P<quote>\\*["'])(?P<quoted>.*?)(?<!\\)(?P=quote)|(?P<bare>\S+)""", re.DOTALL)
_LINE, _TOKEN = re.compile(r"""[^\n"']+"""), re.compile(r"""["']?[^\s"',;}\])]+""")
_EMPTY = {"None", "null", "True", "true", "False", "false", HIDDEN}
_END = ")]}'\",.:;>"
"""Punctuation that may follow a value in a sentence."""
_FORMS = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\b(?:hf_|api_org_|gh[pousr]_|github_pat_|glpat-|sk-|xox[a-z]-)[\w-]{16,}"
    r"|\b(?:AKIA|ASIA)[A-Z0-9]{12,}"
    r"|\bAIza[\w-]{30,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?i:(?<=bearer )[\w.~+/=-]{8,})",
    re.DOTALL,
)


def redact(text: str, *addresses: str, key: str = "") -> str:
    """The text without secrets; text without any is unchanged.

    A user name and a password in an address are removed, whatever their characters: all from `://` to the last `@` of the word. `***` replaces the
    value of a query parameter, an assignment, a JSON field or a header whose name names a secret (`is_secret`); tokens in well-known forms, such as
    `hf_…`; private keys; and the values of environment variables whose names name a secret, wherever they occur.

    Args:
        addresses: Addresses in use. Their secrets are replaced wherever they occur, in any quoting: libraries repeat them in parts.
        key: A key in use, replaced in the same way.
    """
    return _redact(text, _of_environment(tuple(os.environ.items())), [key, *(secret for one in addresses for secret in _inside(one))])


def redact_settings(value: Any, secret: bool = False) -> Any:
    """JSON data without secrets: the values of keys that name one, all of them if `secret`, and what `redact` finds in the others."""
    # Settings hold hundreds of strings: the environment is read once for all.
    return _redact_settings(value, secret, _of_environment(tuple(os.environ.items())))


def _redact(text: str, kept: frozenset[str], used: list[str]) -> str:
    """The text without what the environment has `kept` secret, without the secrets `used`, and without those that show themselves."""
    secrets = {*kept, *(form for secret in used if len(secret) >= 4 for form in _quotings(secret))}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _FORMS.sub(HIDDEN, _without_headers(_without_named(_without_users(text))))


def _redact_settings(value: Any, secret: bool, kept: frozenset[str]) -> Any:
    if isinstance(value, Mapping):
        return {
            _redact(key, kept, []) if isinstance(key, str) else key: (
                item if key == "part" else _redact_settings(item, secret or is_secret(str(key)), kept)
            )
            for key, item in value.items()
        }
    if isinstance(value, (list, tuple)):
        return [_redact_settings(item, secret, kept) for item in value]
    if isinstance(value, str):
        return HIDDEN if secret and value else _redact(value, kept, _inside(value))
    return HIDDEN if secret and isinstance(value, (int, float)) and not isinstance(value, bool) else value


def is_secret(name: str) -> bool:
    """Whether a setting, parameter, header or variable of this name holds a secret: `api_key`, `X-Amz-Signature`, `accessToken`, `AWS_ACCESS_KEY_ID`.

    The last word decides. `eos_token`, `sort_key` and the like are none.
    """
    words = [word.lower() for word in _WORDS.findall(name)]
    if words[-2:] == ["key", "id"]:
        words.pop()
    if not words or not SECRET_WORD.fullmatch(words[-1]):
        return PLURALS.search(name) is not None and words[-1:] in (["keys"], ["tokens"])
    return not (words[-1] in ("key", "token") and len(words) > 1 and PLAIN_WORD.fullmatch(words[-2]))


def _without_users(text: str) -> str:
    parts, done = [], 0
    for found in _USER.finditer(text):
        scheme, rest = found["scheme"], found["rest"]
        if found.start() < done or (scheme.partition("+")[0].lower() in ("file", "sqlite") and rest.startswith(":///")):
            continue
        parts += [text[done : found.start()], scheme, rest[: 3 if rest.startswith(":") else 9]]
        done = found.end()
        # After an `@` in the value of a parameter comes the rest of the value.
        if any(is_secret(name) for name in re.findall(r"([\w.-]+)=", rest)) and (value := _WORD.match(text, done)):
            parts.append(HIDDEN)
            done = value.end()
    return "".join([*parts, text[done:]])


def _without_named(text: str) -> str:
    parts, done = [], 0
    for found in _NAMED.finditer(text):
        if found.start() >= done and is_secret(found["name"]) and (value := _VALUE.match(text, found.end())):
            shown = _hidden(value, found[0].rstrip().endswith(("=", "D", "d")))
            parts += [text[done : found.end()], shown]
            done = value.end()
    return "".join([*parts, text[done:]])


def _hidden(value: re.Match[str], to_end: bool) -> str:
    """The value with its quotes, or the punctuation after it. `to_end`: up to the next parameter or white space, as in an address."""
    if value["quote"]:
        return f"{value['quote']}{HIDDEN}{value['quote']}" if value["quoted"] else value[0]
    bare, more = value["bare"], ""
    if to_end and "&" in bare:
        bare, _, more = bare.partition("&")
        # The parameters after it have secrets of their own.
        more = "&" + _without_named(more)
    core = bare.rstrip(_END) or bare
    return f"{core if core in _EMPTY else HIDDEN}{bare[len(core) :]}{more}"


def _without_headers(text: str) -> str:
    """Without the values of `Authorization: …` and `x-api-key: …`. After a single word, as in `the key: …`, a sentence may go on."""
    parts, done = [], 0
    for found in _HEADER.finditer(text):
        name = found["name"]
        if found.start() < done or not is_secret(name):
            continue
        whole = name.lower().endswith(("authorization", "cookie"))
        value = (_LINE if whole else _TOKEN).match(text, found.end())
        # `api_key: unexpected keyword argument` is no value.
        if value and (whole or (len(_WORDS.findall(name)) > 1 and (re.search(r"\d", value[0]) or not text[value.end() :][:2].strip(",;}])\n")))):
            parts += [text[done : found.end()], HIDDEN]
            done = value.end()
    return "".join([*parts, text[done:]])


@lru_cache(maxsize=4)
def _of_environment(variables: tuple[tuple[str, str], ...]) -> frozenset[str]:
    """What the environment keeps secret: values of variables whose names say so, and the secrets in addresses."""
    found = {value.strip() for name, value in variables if is_secret(name) and name not in FOLDERS}.union(
        *(_inside(value.strip()) for _, value in variables)
    )
    return frozenset(form for secret in found if len(secret) >= SHORTEST for form in _quotings(secret))


def _inside(address: str) -> list[str]:
    """The secrets in an address; none in other text. Libraries split a password at `/`, `@` and the like."""
    if not _ADDRESS.match(address):
        return []
    scheme, _, rest = address.partition("://")
    local = scheme.partition("+")[0].lower() in ("file", "sqlite") and rest.startswith("/")
    info = "" if local else rest.rpartition("@")[0]
    user, _, password = info.partition(":")
    pairs = (pair.partition("=") for pair in re.split(r"[?&;#]", rest))
    return [info, password or user, *re.split(r"[/?#@:\s]+", password or user), *(given for name, _, given in pairs if is_secret(name))]


def _quotings(secret: str) -> set[str]:
    plain = {secret, unquote(secret)}
    quoted = {
        form for one in plain for form in (*(quote(one, safe, errors="surrogatepass") for safe in ("/", "")), json.dumps(one)[1:-1], repr(one)[1:-1])
    }
    return plain | quoted
