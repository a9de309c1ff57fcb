"""Run `python -m sandbox` with the stub container and the stub training program instead of MXNet."""

import sys
from pathlib import Path

from sandbox.__main__ import main

STUB = Path(__file__).with_name("stub_container.py")
STUB_TRAINING = STUB.with_name("stub_training.py")

if __name__ == "__main__":
    serving, training = (
        {"semantic-segmentation": [sys.executable, str(path)]} for path in (STUB, STUB_TRAINING)
    )
    sys.exit(main(programs=serving, training_programs=training))
