"""How errors are shown."""

from __future__ import annotations

import logging

from core.errors import CoreError
from pages.parts import messages
from tests.support.apps import app_from_function


def test_other_peoples_text_is_shown_as_it_stands():
    """File names and untrusted messages cannot become Markdown, HTML, LaTeX or Streamlit directives."""
    assert messages.plain("a_b*c.jpg") == r"a\_b\*c\.jpg"
    assert messages.plain("<b> $x$ :red[!]") == r"\<b\> \$x\$ \:red\[\!\]"


def test_code_and_addresses_are_shown_as_code():
    """Quoted code stays code, and a URL is shown whole, as code and not as a link."""
    assert messages.plain("Run `make run`.") == r"Run `make run`\."
    assert messages.plain("at (http://127.0.0.1:4566).") == r"at \(`http://127.0.0.1:4566`\)\."
    assert messages.plain("a ` alone") == r"a \` alone"


def test_card_holds_what_why_and_todo():
    """A card leads with what happened, in bold, then why, then what to do."""
    assert messages.card(CoreError("It fell.", why="Gravity.", todo="Lift it.")) == (
        "**It fell\\.** Gravity\\.\n\nLift it\\."
    )


def test_unexpected_error_is_logged_under_the_id_it_shows(caplog):
    """An unexpected error is shown by an id without its text, and logged under that id with its traceback."""

    def page() -> None:
        from pages.parts import messages

        with messages.error_boundary():
            raise ZeroDivisionError("secret detail")

    with caplog.at_level(logging.ERROR):
        app = app_from_function(page).run()
    assert not app.exception
    [record] = [record for record in caplog.records if record.name == "segdeck"]
    assert record.args[0] in app.error[0].value
    assert "secret detail" not in app.error[0].value
    assert record.exc_info[0] is ZeroDivisionError
