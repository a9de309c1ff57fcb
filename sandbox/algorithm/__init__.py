"""The semantic segmentation algorithm: networks, training and serving, each run in a process of its own."""
