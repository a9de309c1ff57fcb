"""One file a claim of the README. Each prints ratios measured in one run: `python -m bench.decode`."""
