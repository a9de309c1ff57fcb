"""The light network: 662,614 parameters for six classes, trained in two minutes on one CPU core.

A small encoder (strides 2, 4, 8, 16) whose features are merged back by additive skips. It is not one of AWS's
networks: it replaces them on machines without a GPU, so that the sandbox answers within a fraction of one second.
"""

# mypy: disable-error-code="misc"
# MXNet has no types, so every class below has a base of type Any.

from __future__ import annotations

from typing import Any

from sandbox.algorithm.mxnet_import import load_mxnet

mx = load_mxnet()
nn: Any = mx.gluon.nn
HybridBlock: Any = mx.gluon.HybridBlock

STRIDE = 16
"""Height and width of the input must be multiples of this; `predict` pads the input."""


class ConvNorm(HybridBlock):
    """Convolution, batch normalization and, by default, a ReLU."""

    def __init__(
        self,
        inputs: int,
        outputs: int,
        *,
        kernel: int = 3,
        stride: int = 1,
        dilation: int = 1,
        relu: bool = True,
    ) -> None:
        super().__init__()
        padding = dilation * (kernel // 2)
        self.convolution = nn.Conv2D(
            outputs, kernel, stride, padding, dilation, use_bias=False, in_channels=inputs
        )
        self.norm = nn.BatchNorm(in_channels=outputs)
        # The block Activation is two to four times as fast as the operator F.relu.
        self.activation = nn.Activation("relu") if relu else None

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Apply the block to (N, inputs, H, W)."""
        y = self.norm(self.convolution(x))
        return y if self.activation is None else self.activation(y)


class Residual(HybridBlock):
    """Two 3x3 convolutions in parallel with a shortcut (He et al. 2016, "Deep Residual Learning")."""

    def __init__(self, inputs: int, outputs: int, *, stride: int = 1, dilation: int = 1) -> None:
        super().__init__()
        self.first = ConvNorm(inputs, outputs, stride=stride, dilation=dilation)
        self.second = ConvNorm(outputs, outputs, relu=False)
        same = inputs == outputs and stride == 1
        self.shortcut = None if same else ConvNorm(inputs, outputs, kernel=1, stride=stride, relu=False)
        self.activation = nn.Activation("relu")

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Apply the block to (N, inputs, H, W)."""
        shortcut = x if self.shortcut is None else self.shortcut(x)
        return self.activation(self.second(self.first(x)) + shortcut)


class Merge(HybridBlock):
    """Doubles the size of the deep features, adds the finer ones and mixes both."""

    def __init__(self, deep: int, fine: int, outputs: int) -> None:
        super().__init__()
        self.enlarge = bilinear_upsampling(deep)
        self.skip = ConvNorm(fine, deep, kernel=1, relu=False)
        self.activation = nn.Activation("relu")
        self.mix = ConvNorm(deep, outputs)

    def hybrid_forward(self, F: Any, deep: Any, fine: Any) -> Any:  # noqa: ARG002, N803
        """Merge deep (N, deep, H, W) with fine (N, fine, 2H, 2W) features."""
        return self.mix(self.activation(self.enlarge(deep) + self.skip(fine)))


class HalfSize(HybridBlock):
    """The network without the last upsampling: (N, 3, H, W) to scores (N, classes, H / 2, W / 2)."""

    def __init__(self, classes: int, width: int = 16) -> None:
        super().__init__()
        two, four, eight = 2 * width, 4 * width, 8 * width
        self.stem = ConvNorm(3, width, stride=2)
        self.stage1 = Residual(width, two, stride=2)
        self.stage2 = Residual(two, four, stride=2)
        self.stage3 = Residual(four, eight, stride=2)
        self.stage4 = Residual(eight, eight, dilation=2)
        self.gate = nn.Conv2D(four, 1, in_channels=eight)
        self.project = ConvNorm(eight, four, kernel=1)
        self.merge2 = Merge(four, four, two)
        self.merge1 = Merge(two, two, two)
        self.merge0 = Merge(two, width, two)
        self.score = nn.Conv2D(classes, 1, in_channels=two)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: N803
        """Return the scores at half size."""
        half = self.stem(x)
        quarter = self.stage1(half)
        eighth = self.stage2(quarter)
        deep = self.stage4(self.stage3(eighth))
        # The image as a whole decides the weight of each feature.
        gate = F.sigmoid(self.gate(F.contrib.AdaptiveAvgPooling2D(deep, output_size=1)))
        y = F.broadcast_mul(self.project(deep), gate)
        return self.score(self.merge0(self.merge1(self.merge2(y, eighth), quarter), half))


class LightNetwork(HybridBlock):
    """The whole network: (N, 3, H, W) float32 to scores (N, classes, H, W); H and W multiples of STRIDE."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.half = HalfSize(classes)
        self.enlarge = bilinear_upsampling(classes)

    def hybrid_forward(self, F: Any, x: Any) -> Any:  # noqa: ARG002, N803
        """Return the scores at full size."""
        return self.enlarge(self.half(x))

    def training_scores(self, x: Any) -> list[tuple[Any, float, int]]:
        """Return (scores, weight in the loss, stride) to train on. At half size the loss costs a fifth."""
        return [(self.half(x), 1.0, 2)]


def bilinear_upsampling(channels: int) -> Any:
    """Return a fixed bilinear upsampling by two.

    As a grouped deconvolution it trains 40 times as fast as MXNet's BilinearResize2D.
    """
    block = nn.Conv2DTranspose(
        channels, 4, 2, 1, groups=channels, use_bias=False, in_channels=channels,
        weight_initializer=mx.init.Bilinear(),
    )  # fmt: skip
    block.weight.grad_req = "null"
    return block
