"""Benchmarks, one file per claim in the docs. Each prints ratios measured in one run: `python -m bench.decode`."""
