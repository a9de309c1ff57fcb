"""The semantic segmentation algorithm: networks, training and serving, each run in its own process."""
