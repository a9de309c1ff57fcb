"""The limit of open files, in separate processes, as a raised limit cannot be lowered again."""

from __future__ import annotations

import subprocess
import sys

import pytest

from sandbox.common.descriptors import FileLimit

CODE = "from sandbox.common.descriptors import raise_file_limit as r; x = r(); print(x.soft, bool(x.warning))"


@pytest.mark.parametrize(
    ("limits", "soft", "warned"),
    [("ulimit -Sn 256", None, False), ("ulimit -n 512", 512, True), ("ulimit -n 5000", 5000, False)],
)
def test_the_soft_limit_is_raised_to_the_hard_one(limits, soft, warned):
    """The soft limit rises to the hard limit, at most 65,536; a low limit is reported."""
    command = ["sh", "-c", f'{limits}; exec "$@"', "sh", sys.executable, "-c", CODE]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    shown, reported = done.stdout.split()
    assert int(shown) == soft if soft else int(shown) > 4096
    assert reported == str(warned)


def test_a_low_limit_says_what_it_means():
    """The warning gives the number of viewers that fit, and how to raise the limit."""
    text = FileLimit(1024, 1024).warning
    assert "about 204 viewers" in text
    assert "LimitNOFILE=65536" in text
    assert (
        FileLimit(1024, 9999, "It could not be raised to 9,999: no.").warning.count("could not be raised")
        == 1
    )
    assert not FileLimit(4096, 4096).warning
