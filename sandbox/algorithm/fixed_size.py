"""The failure of AWS's PSP and DeepLab with images unlike `crop_size`, reproduced in strict mode.

Their networks compute the size of the deep features from `crop_size` when they are built, and so fail in validation
and in serving on other images: "Incompatible input shape: expected [1,0,64,80], got [1,256,30,30]" for images of
512 x 640 and the default crop of 240 (aws/deep-learning-containers, issue 902; one report). The networks of the
sandbox do not.
"""

from __future__ import annotations

import os

from sandbox.algorithm.mxnet_import import AlgorithmError

STRICT = "SANDBOX_STRICT"
"""The environment variable that the sandbox sets in strict mode."""
CHANNELS = {"psp": 512, "deeplab": 256}
"""Channels of the features with the fixed size, as the report has them."""
_STRIDE = 8


def fixed_size(algorithm: str, crop_size: int | str | None) -> int | None:
    """Return the side of the only images that a network accepts; None if it accepts any."""
    if not os.environ.get(STRICT) or algorithm not in CHANNELS or not str(crop_size).isdecimal():
        return None
    return int(str(crop_size))


def check_size(algorithm: str, side: int | None, shape: tuple[int, ...]) -> None:
    """Raise AlgorithmError unless a batch (N, 3, H, W) has the fixed size. side: from `fixed_size`."""
    number, _, height, width = shape
    if side is None or (height, width) == (side, side):
        return
    expected = f"[{number},0,{height // _STRIDE},{width // _STRIDE}]"
    got = f"[{number},{CHANNELS[algorithm]},{side // _STRIDE},{side // _STRIDE}]"
    raise AlgorithmError(
        "src/operator/nn/concat.cc:66: Check failed: shape_assign(&(*in_shape)[i], dshape) "
        f"Incompatible input shape: expected {expected}, got {got}"
    )
