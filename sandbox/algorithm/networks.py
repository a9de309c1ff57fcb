"""FCN, PSP and DeepLabV3 on a dilated ResNet, as AWS's algorithm trains them, in plain Gluon.

AWS's `model_algo-1` and `model_best.params` are Gluon parameter files whose names come from the attributes of
GluonCV's classes (sagemaker-python-sdk#200 loads one with GluonCV). So the attributes below have the same names, even
where the spelling is odd (`concurent`), and such a file loads without GluonCV, which has had no release since 2022.

One difference: sizes are taken from the input image (`BilinearResize2D(mode="like")`) and not fixed at `crop_size`;
the original fails on images larger than that (aws/deep-learning-containers#902).

Papers: Long et al. 2015 (FCN), Zhao et al. 2017 (PSP), Chen et al. 2017 (DeepLabV3), He et al. 2016 (ResNet).
"""

# mypy: disable-error-code="misc"
# MXNet has no types, so every class below has a base of type Any.

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sandbox.algorithm.mxnet_import import load_mxnet

mx = load_mxnet()
nn: Any = mx.gluon.nn
HybridBlock: Any = mx.gluon.HybridBlock

UNITS = {"resnet-50": (3, 4, 6, 3), "resnet-101": (3, 4, 23, 3)}
"""Number of bottlenecks in each of the four stages."""
STEM_WIDTH = {"v1s": 128, "v1b": 64}
"""Channels after the stem: three 3x3 convolutions (v1s), or one of 7x7 (v1b)."""
AUXILIARY_WEIGHT = 0.5
"""GluonCV's weight of the auxiliary head in the loss."""


def sequence(blocks: Iterable[Any]) -> Any:
    """Return the blocks in a row; their names are their numbers."""
    chain = nn.HybridSequential()
    for block in blocks:
        chain.add(block)
    return chain


def convolution(inputs: int, outputs: int, kernel: int = 1, stride: int = 1, dilation: int = 1) -> Any:
    """Return a convolution without bias that keeps the size except for its stride."""
    padding = dilation * (kernel // 2)
    return nn.Conv2D(outputs, kernel, stride, padding, dilation, use_bias=False, in_channels=inputs)


def conv_norm_relu(inputs: int, outputs: int, kernel: int = 1, dilation: int = 1) -> list[Any]:
    """Return convolution, batch normalization and ReLU."""
    return [
        convolution(inputs, outputs, kernel, dilation=dilation),
        nn.BatchNorm(in_channels=outputs),
        nn.Activation("relu"),
    ]


def resize_like(F: Any, x: Any, model: Any) -> Any:  # noqa: N803
    """Resize `x` to height and width of `model`."""
    return F.contrib.BilinearResize2D(x, model, mode="like")


class Bottleneck(HybridBlock):
    """1x1, 3x3 and 1x1 convolutions in parallel with a shortcut; the stride is in the middle one."""

    def __init__(self, inputs: int, width: int, stride: int, dilation: int, *, project: bool) -> None:
        super().__init__()
        outputs = 4 * width
        self.conv1 = convolution(inputs, width)
        self.bn1 = nn.BatchNorm(in_channels=width)
        self.conv2 = convolution(width, width, 3, stride, dilation)
        self.bn2 = nn.BatchNorm(in_channels=width)
        self.conv3 = convolution(width, outputs)
        self.bn3 = nn.BatchNorm(in_channels=outputs)
        self.relu = nn.Activation("relu")
        self.downsample = None
        if project:
            self.downsample = sequence(
                [convolution(inputs, outputs, stride=stride), nn.BatchNorm(in_channels=outputs)]
            )

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Apply the block to (N, inputs, H, W)."""
        y = self.relu(self.bn1(self.conv1(x)))
        y = self.relu(self.bn2(self.conv2(y)))
        shortcut = x if self.downsample is None else self.downsample(x)
        return self.relu(self.bn3(self.conv3(y)) + shortcut)


def stage(inputs: int, width: int, units: int, *, stride: int = 1, dilation: int = 1) -> Any:
    """Return one of the four stages. Dilation replaces stride, and its first unit keeps the previous dilation."""
    first = Bottleneck(inputs, width, stride, max(1, dilation // 2), project=True)
    rest = [Bottleneck(4 * width, width, 1, dilation, project=False) for _ in range(units - 1)]
    return sequence([first, *rest])


class FCNHead(HybridBlock):
    """One 3x3 convolution and the scores; also the auxiliary head of all three networks."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.block = score_layers(inputs, inputs // 4, classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Return the scores of the features."""
        return self.block(x)


class PyramidPooling(HybridBlock):
    """The features, concatenated with their means over 1, 4, 9 and 36 parts of the image."""

    def __init__(self, inputs: int) -> None:
        super().__init__()
        self.conv1, self.conv2, self.conv3, self.conv4 = (
            sequence(conv_norm_relu(inputs, inputs // 4)) for _ in range(4)
        )

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Return the features with their pooled context."""
        levels = ((1, self.conv1), (2, self.conv2), (3, self.conv3), (6, self.conv4))
        pooled = [
            resize_like(F, conv(F.contrib.AdaptiveAvgPooling2D(x, output_size=size)), x)
            for size, conv in levels
        ]
        return F.concat(x, *pooled, dim=1)


class PSPHead(HybridBlock):
    """Pyramid pooling, then the scores."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.psp = PyramidPooling(inputs)
        self.block = score_layers(2 * inputs, inputs // 4, classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Return the scores of the features."""
        return self.block(self.psp(x))


class GlobalMean(HybridBlock):
    """The mean over the image, spread over the image again."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.gap = sequence([nn.GlobalAvgPool2D(), *conv_norm_relu(inputs, outputs)])

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Return the mean of the features at their size."""
        return resize_like(F, self.gap(x), x)


class AtrousPyramid(HybridBlock):
    """DeepLabV3's parallel convolutions at dilations 1, 12, 24 and 36, and the mean of all."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        dilated = [sequence(conv_norm_relu(inputs, outputs, 3, dilation)) for dilation in (12, 24, 36)]
        self.concurent = sequence(
            [sequence(conv_norm_relu(inputs, outputs)), *dilated, GlobalMean(inputs, outputs)]
        )
        self.project = sequence([*conv_norm_relu(5 * outputs, outputs), nn.Dropout(0.5)])

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Return the projected features of all branches."""
        return self.project(F.concat(*[self.concurent[i](x) for i in range(5)], dim=1))


class DeepLabHead(HybridBlock):
    """The atrous pyramid, then the scores."""

    def __init__(self, inputs: int, classes: int) -> None:
        super().__init__()
        self.aspp = AtrousPyramid(inputs, 256)
        self.block = score_layers(256, 256, classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Return the scores of the features."""
        return self.block(self.aspp(x))


def score_layers(inputs: int, width: int, classes: int) -> Any:
    """Return a 3x3 convolution, dropout and the 1x1 convolution that scores: `block.0` to `block.4`."""
    return sequence(
        [*conv_norm_relu(inputs, width, 3), nn.Dropout(0.1), nn.Conv2D(classes, 1, in_channels=width)]
    )


HEADS: dict[str, Any] = {"fcn": FCNHead, "psp": PSPHead, "deeplab": DeepLabHead}


class SegmentationNetwork(HybridBlock):
    """(N, 3, H, W) float32 to scores (N, classes, H, W); the deep features have an eighth of the size.

    `training_scores` uses the auxiliary head, if there is one.
    """

    def __init__(
        self, algorithm: str, backbone: str, classes: int, *, auxiliary: bool = True, stem: str = "v1s"
    ) -> None:
        super().__init__()
        units, width = UNITS[backbone], STEM_WIDTH[stem]
        self.conv1 = stem_convolutions(stem)
        self.bn1 = nn.BatchNorm(in_channels=width)
        self.relu = nn.Activation("relu")
        self.maxpool = nn.MaxPool2D(3, 2, 1)
        self.layer1 = stage(width, 64, units[0])
        self.layer2 = stage(256, 128, units[1], stride=2)
        self.layer3 = stage(512, 256, units[2], dilation=2)
        self.layer4 = stage(1024, 512, units[3], dilation=4)
        self.head = HEADS[algorithm](2048, classes)
        self.auxlayer = FCNHead(1024, classes) if auxiliary else None

    def middle(self, x: Any) -> Any:
        """Return the features after layer 3."""
        y = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        return self.layer3(self.layer2(self.layer1(y)))

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Return the scores, with those of the auxiliary head if there is one."""
        middle = self.middle(x)
        main = resize_like(F, self.head(self.layer4(middle)), x)
        if self.auxlayer is None:
            return main
        return main, resize_like(F, self.auxlayer(middle), x)

    def training_scores(self, x: Any) -> list[tuple[Any, float, int]]:
        """Return (scores, weight in the loss, stride) to train on."""
        if self.auxlayer is None:
            return [(self(x), 1.0, 1)]
        main, auxiliary = self(x)
        return [(main, 1.0, 1), (auxiliary, AUXILIARY_WEIGHT, 1)]


def stem_convolutions(stem: str) -> Any:
    """Return the convolutions before the first batch normalization that is not part of the stem."""
    if stem == "v1b":
        return convolution(3, 64, 7, 2)
    first = [convolution(3, 64, 3, 2), nn.BatchNorm(in_channels=64), nn.Activation("relu")]
    return sequence([*first, *conv_norm_relu(64, 64, 3), convolution(64, 128, 3)])
