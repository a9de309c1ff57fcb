"""The account and the region of a session, from its URL.

A session has one account and one region, from its first run to its end. To switch is to open another document, with
a session of its own: so nothing that a session holds (a queue of images, a filled form, a ticked row, an open plan)
can ever be shown, or carried out, in another account.
"""

from __future__ import annotations

from urllib.parse import urlencode

from core.accounts import ACCOUNT, PROFILE, REGION_NAME, AccountChoice, from_query
from pages.parts import state
from pages.parts.state import Slot

_CHOICE: Slot[AccountChoice] = Slot("account.choice")


def choice() -> AccountChoice:
    """Return the account and region of this session, not validated."""
    return _CHOICE.setdefault(lambda: from_query(state.query((ACCOUNT, PROFILE, REGION_NAME))))


def keep_in_url() -> None:
    """Write them into the URL, which the navigation between pages leaves without them."""
    wanted = choice().query
    names = (ACCOUNT, PROFILE, REGION_NAME)
    if state.query(names) != wanted:
        state.set_query({name: wanted.get(name, "") for name in names})


def switch_url(to: AccountChoice) -> str:
    """Return the address of the current page with another account or region, relative to it."""
    return f"?{urlencode(to.query)}"
