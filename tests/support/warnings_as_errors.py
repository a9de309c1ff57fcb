"""A mark under which a test fails at its warnings, and not at those about what earlier tests left behind."""

import pytest

OF_EARLIER_TESTS = (
    "ignore::ResourceWarning",  # a socket that the garbage collector closes during this test
    "ignore::pytest.PytestUnraisableExceptionWarning",
    "ignore::pytest.PytestUnhandledThreadExceptionWarning",
)
fails_at_warnings = pytest.mark.filterwarnings("error", *OF_EARLIER_TESTS)
fails_at_user_warnings = pytest.mark.filterwarnings("error::UserWarning", *OF_EARLIER_TESTS)
