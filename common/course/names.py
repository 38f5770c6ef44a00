"""Names that are safe as folders everywhere: small letters, digits, single underscores.

>>> safe_name("ada_lovelace"), suggest("Ada Lovelace"), suggest("../ada"), suggest("Łukasz Çelik")
('ada_lovelace', 'ada_lovelace', 'ada', 'ukasz_celik')
"""

from __future__ import annotations

import re
import unicodedata

MAX_NAME = 40
_SAFE = re.compile(r"[a-z][a-z0-9]*(?:_[a-z0-9]+)*")
_ACCOUNT = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,38}")
# Names of the course's own below members/, and those that Windows keeps for its devices.
_TAKEN = frozenset("template team team_example readme board leaderboard results con prn aux nul".split())
_DEVICE = re.compile(r"(?:com|lpt)[0-9]")


def safe_name(text: object, what: str = "name") -> str:
    """The text itself, where it is safe as a name of a folder, on every system.

    Parameters
    ----------
    text : str
        At most 40 characters: small Latin letters, digits, single underscores; a letter first.
    what : str
        What the message calls it.

    Raises
    ------
    ValueError
        It is not; the message says what would be.
    """
    is_safe = isinstance(text, str) and len(text) <= MAX_NAME and _SAFE.fullmatch(text)
    if is_safe and text not in _TAKEN and not _DEVICE.fullmatch(text):
        return text
    shown = repr(text if len(str(text)) <= 60 else f"{str(text)[:60]}...")
    offer = suggest(str(text))
    rule = "small Latin letters, digits and single underscores, a letter first, at most 40 characters"
    if is_safe:
        raise ValueError(f"{what} {shown} is taken by the course, or by Windows: choose another, say {offer}")
    raise ValueError(f"{what} {shown}: expected {rule}" + (f", such as {offer}" if offer else ""))


def suggest(text: str) -> str:
    """A safe name that resembles the text; empty where the text has no Latin letter."""
    plain = unicodedata.normalize("NFKD", text[:400]).encode("ascii", "ignore").decode().lower()
    name = re.sub(r"[^a-z0-9]+", "_", plain).strip("_").lstrip("0123456789_")[:MAX_NAME].rstrip("_")
    return f"{name[: MAX_NAME - 2]}_2" if name in _TAKEN or _DEVICE.fullmatch(name) else name


def account_name(text: object) -> str:
    """The text, where it can be the name of a GitHub account.

    Raises
    ------
    ValueError
        It cannot.
    """
    if isinstance(text, str) and _ACCOUNT.fullmatch(text):
        return text
    raise ValueError(f"GitHub account {text!r}: expected its name alone, of letters, digits and hyphens")
