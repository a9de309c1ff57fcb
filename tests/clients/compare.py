"""Usage: compare.py RECORDIO PNG. Compare the tutorial's own decoding of a response with ours, pixel by pixel."""

import sys
from pathlib import Path

import numpy as np

from bench.decode import tutorial_method
from core.wire.decode import decode

recordio, png = map(Path, sys.argv[1:])
body = recordio.read_bytes()
ours = decode(body, "application/x-recordio-protobuf")
mask = decode(png.read_bytes(), "image/png")
tutorial = tutorial_method(body)
if tutorial is None:
    sys.exit("MXNet is needed for the tutorial's way of decoding.")
if not np.array_equal(ours.labels, tutorial()):
    sys.exit("The tutorial's decoding differs from ours.")
if not np.array_equal(ours.labels, mask.labels):
    sys.exit("The PNG differs from the argmax of the probabilities.")
print(f"equal: {ours.labels.shape}, {len(np.unique(ours.labels))} classes seen")
