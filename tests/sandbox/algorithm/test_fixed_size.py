"""The failure of AWS's PSP and DeepLab with images unlike `crop_size`, which strict mode reproduces."""

from __future__ import annotations

import numpy as np
import pytest

from sandbox.algorithm.archive import Architecture
from sandbox.algorithm.fixed_size import STRICT, check_size, fixed_size
from sandbox.algorithm.mxnet_import import AlgorithmError
from sandbox.algorithm.train import evaluate


@pytest.mark.parametrize(
    ("algorithm", "message"),
    [
        ("deeplab", "Incompatible input shape: expected [1,0,64,80], got [1,256,30,30]"),
        ("psp", "Incompatible input shape: expected [1,0,64,80], got [1,512,30,30]"),
    ],
)
def test_the_error_is_that_of_the_report(algorithm: str, message: str) -> None:
    """Images of 512 x 640 and a crop of 240 give the words of aws/deep-learning-containers, issue 902."""
    with pytest.raises(AlgorithmError) as caught:
        check_size(algorithm, 240, (1, 3, 512, 640))
    assert str(caught.value).endswith(message)
    check_size(algorithm, 240, (4, 3, 240, 240))
    check_size(algorithm, None, (1, 3, 512, 640))


def test_only_strict_mode_fixes_the_size(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without SANDBOX_STRICT, and with FCN or the light network, any size is accepted."""
    monkeypatch.delenv(STRICT, raising=False)
    assert fixed_size("psp", "240") is None
    monkeypatch.setenv(STRICT, "1")
    assert (fixed_size("psp", "240"), fixed_size("deeplab", 480)) == (240, 480)
    assert {fixed_size(name, "240") for name in ("fcn", "light")} == {None}
    assert fixed_size("psp", None) is None


def test_validation_fails_before_the_network_runs() -> None:
    """Validation checks the size of each batch, after padding."""
    example = (np.zeros((40, 48, 3), np.uint8), np.zeros((40, 48), np.uint8))
    with pytest.raises(AlgorithmError, match="Incompatible input shape"):
        evaluate(None, Architecture("psp", "resnet-50", 2), [example], only_side=32)
