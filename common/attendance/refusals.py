"""Why a phone is not recorded: one reason per case, each with a page that says what to do next."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Reason:
    """What a refused phone is shown.

    Attributes
    ----------
    status : int
        HTTP status.
    title : str
        The page's heading.
    advice : str
        What to do, in a sentence or two.
    """

    status: int
    title: str
    advice: str


_SCAN_AGAIN = "Scan the code that is on the projector now."

REASONS = {
    "stale": Reason(410, "This code has expired", f"Codes last half a minute. {_SCAN_AGAIN}"),
    "forged": Reason(403, "This code is not valid", f"The link is incomplete, or was changed. {_SCAN_AGAIN}"),
    "other_lecture": Reason(403, "This code belongs to another lecture", _SCAN_AGAIN),
    "closed": Reason(
        403, "Attendance is closed", "Nobody is recorded any more. If you were here, tell your instructor."
    ),
    "slow": Reason(410, "The form has waited too long", _SCAN_AGAIN),
    "no_cookie": Reason(
        403,
        "Your browser did not send our cookie back",
        f"Allow cookies for this page, or use the phone's usual browser, not a private window. {_SCAN_AGAIN}",
    ),
    "unknown_name": Reason(
        400, "Choose your name from the list", "If it is missing, tell your instructor, who can add it."
    ),
    "second_name": Reason(
        409,
        "This phone has recorded somebody already",
        "One phone records one name per lecture. If the name was a mistake, tell your instructor.",
    ),
    "name_taken": Reason(
        409,
        "This name is recorded already, from another phone",
        "If that was not you, or your browser has lost its cookies, tell your instructor.",
    ),
    "by_hand": Reason(409, "Your instructor has set this by hand", "Only your instructor can change it."),
    "too_many": Reason(429, "Too many requests", f"Wait a minute. {_SCAN_AGAIN}"),
    "too_large": Reason(413, "That was more than a name", _SCAN_AGAIN),
    "not_stored": Reason(
        503,
        "You are not recorded yet",
        "The instructor's machine could not write it down. Scan again, or tell your instructor.",
    ),
    "no_page": Reason(404, "There is nothing here", _SCAN_AGAIN),
    "projector": Reason(
        403, "This page is for the projector", "Open the link that the instructor's terminal shows."
    ),
}


class Refusal(Exception):
    """A phone's request that is not granted.

    Parameters
    ----------
    kind : str
        A key of `REASONS`.
    detail : str
        For the log only: what was asked for.
    """

    def __init__(self, kind: str, detail: str = "") -> None:
        super().__init__(kind)
        self.kind, self.detail, self.reason = kind, detail, REASONS[kind]
