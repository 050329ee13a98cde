"""Remove secrets from text before it is printed, logged or stored.

Three kinds: what an address says before its host, a parameter whose name says that it is a secret,
and the values of environment variables that hold secrets, wherever they appear.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator, Mapping
from urllib.parse import quote, quote_plus, unquote, unquote_plus

HIDDEN = "***"

_SECRET = (
    r"pass(?:word|wd)?|pwd|token|secret|api_?key|access_?key|private_?key|auth_string|credential"
)
# As MLFLOW_TRACKING_TOKEN, PREFECT_API_KEY and AWS_SECRET_ACCESS_KEY, but not PYTHONHASHSEED, nor
# PWD and OLDPWD, which are folders.
_SECRET_VARIABLE = re.compile(rf"(?!(?:OLD)?PWD$).*(?:{_SECRET})s?$", re.IGNORECASE)
# A shorter value is a word of many texts.
_SHORTEST = 4
# A short one is hidden as a word, a long one also within a word.
_LONG = 8

_PORT = r"\d{1,5}(?=[/?#\s'\",;)\]]|$)"
_USER_IN_ADDRESS = re.compile(
    # Passwords should be percent-encoded. Those that are not may hold any character, '/' and '@'
    # too, so all up to the last '@' before a space is taken.
    r"(?<=://)(?!/)(?:\S*@"
    # A password with a space: 'name:', and then no port.
    rf"|(?!\[)[^\s/?#@:]*:(?!{_PORT})[^@\n]{{1,300}}@(?:\S*@)?)"
)
# The value of a variable that is one address with a user; the user is what is hidden.
_ADDRESS = re.compile(rf"[\w+.-]+://([^\s/?#@]+|[^/?#@:]*:(?!{_PORT}).+)@[^@\s]*")
_USER_IN_ENCODED_ADDRESS = re.compile(r"(?<=%3A%2F%2F)[^\s&]*%40", re.IGNORECASE)
_PARAMETER = re.compile(
    rf"((?:{_SECRET}|(?<![a-z])sig|signature)=)"
    r"(?:'[^']*'|\"[^\"]*\"|[^\s&#'\",;)]+)",
    re.IGNORECASE,
)
_HEADER = re.compile(r"(authorization['\"]?\s*[:=]\s*['\"]?(?:basic|bearer)\s+)[^\s'\"]+", re.I)


def redacted(text: str, environ: Mapping[str, str] | None = None) -> str:
    """`text` with every secret in it replaced by '***'.

    Values of fewer than four characters are hidden in addresses and parameters only.
    """
    known = _known(os.environ if environ is None else environ)
    if known:
        text = known.sub(HIDDEN, text)
    text = _USER_IN_ADDRESS.sub(f"{HIDDEN}@", text)
    text = _USER_IN_ENCODED_ADDRESS.sub(f"{HIDDEN}%40", text)
    text = _PARAMETER.sub(rf"\g<1>{HIDDEN}", text)
    return _HEADER.sub(rf"\g<1>{HIDDEN}", text)


def without_user(address: str) -> str:
    """An address without its user and password."""
    return _USER_IN_ADDRESS.sub("", address)


def is_unencoded(address: str) -> bool:
    """Whether its user or password holds a character that ends them for who parses the address.

    'http://host:5000/me@there' has neither.
    """
    found = _USER_IN_ADDRESS.search(address)
    if found is None:
        return False
    user = found[0][:-1]
    start = re.split("[/?#]", user)[0]
    if start != user:
        _, colon, password = start.partition(":")
        return bool(colon) and not re.fullmatch(r"\d{1,5}", password)
    return bool(set("@[]\\ ") & set(user))


def _known(environ: Mapping[str, str]) -> re.Pattern[str] | None:
    """What matches the secrets in environment variables, in every spelling."""
    forms = {
        form
        for name, value in environ.items()
        for secret in _secrets(name, value.strip())
        for form in (*_spelled(secret), *_misread(name, secret))
        if len(form) >= _SHORTEST
    }
    if not forms:
        return None
    # The longest first: one may hold another.
    return re.compile("|".join(map(_pattern, sorted(forms, key=lambda form: (-len(form), form)))))


def _secrets(name: str, value: str) -> Iterator[str]:
    if _SECRET_VARIABLE.match(name):
        yield value
        if "auth_string" in name.lower():  # 'user:password'
            yield value.partition(":")[2]
    elif found := _ADDRESS.fullmatch(value):
        user, colon, password = found[1].partition(":")
        yield found[1]
        yield password if colon else user
        for decode in (unquote, unquote_plus):
            yield decode(found[1])
            yield decode(password if colon else user)


def _spelled(secret: str) -> Iterator[str]:
    """A secret as itself, and as addresses, JSON, Python and headers spell it."""
    yield secret
    for encoded in (quote(secret), quote(secret, safe=""), quote_plus(secret)):
        yield encoded
        yield re.sub(r"%..", lambda found: found[0].lower(), encoded)
    yield repr(secret)[1:-1]
    yield json.dumps(secret)[1:-1]
    yield json.dumps(secret, ensure_ascii=False)[1:-1]
    content = secret.encode(errors="surrogateescape")
    yield base64.b64encode(content).decode()
    yield base64.urlsafe_b64encode(content).decode()


def _misread(name: str, secret: str) -> list[str]:
    """What parsers make of an address whose password is not percent-encoded."""
    return [] if _SECRET_VARIABLE.match(name) else re.split(r"[/?#@:\\\s]", secret)


def _pattern(form: str) -> str:
    if len(form) >= _LONG:
        return re.escape(form)
    start = r"(?<!\w)" if form[0].isalnum() else ""
    end = r"(?!\w)" if form[-1].isalnum() else ""
    return f"{start}{re.escape(form)}{end}"
