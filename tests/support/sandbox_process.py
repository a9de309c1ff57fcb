"""Run `python -m sandbox` with the stub container instead of MXNet."""

import sys
from pathlib import Path

from sandbox.__main__ import main

STUB = Path(__file__).with_name("stub_container.py")

if __name__ == "__main__":
    sys.exit(main(programs={"semantic-segmentation": [sys.executable, str(STUB)]}))
