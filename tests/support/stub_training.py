"""A training program without a network: it keeps the contract of /opt/ml and follows its hyperparameters.

epochs (3), seconds (per epoch, 0.02), echo (a line to print), fail (a text for output/failure, and exit code `code`,
else 2), code (exit code), kill (ends itself by SIGKILL), stubborn (ignores SIGTERM), child (starts a child that does
so, too), pipe (a channel in Pipe mode, of which it prints the size in each epoch), files (of model/,
comma-separated), data (a file of output/data), nan (is the first epoch's loss), hold (a job with checkpoints that did
not resume from one waits after this epoch). Arguments such as hold=1 set them for every job. On SIGTERM it writes its
model and exits with 0. Start it with that signal blocked (see `stub_training_programs` in tests/conftest.py): then a
SIGTERM that arrives before the program listens to it is not lost.

With a checkpoint configuration it saves each epoch as epoch-N.json there, and resumes after the last one.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path, PurePosixPath
from types import FrameType

ROOT = Path(os.environ["SM_ML_ROOT"])
HYPERPARAMETERS: dict[str, str] = json.loads((ROOT / "input/config/hyperparameters.json").read_text())
OPTIONS = {**HYPERPARAMETERS, **dict(argument.split("=", 1) for argument in sys.argv[1:])}
STOP = threading.Event()


def _die_with_the_sandbox() -> None:
    os.read(int(os.environ["SANDBOX_DEATH_PIPE_FD"]), 1)
    os._exit(0)


def _on_sigterm(_number: int, _frame: FrameType | None) -> None:
    STOP.set()


def _say(text: str) -> None:
    print(f"[11/22/2026 12:00:00 INFO {os.getpid()}] {text}", flush=True)


def _epoch(number: int, epochs: int) -> None:
    if channel := HYPERPARAMETERS.get("pipe"):
        print(f"pipe {number}: {len((ROOT / f'input/data/{channel}_{number}').read_bytes())}", flush=True)
    quality = f"#quality_metric: host=algo-1, epoch={number}"
    loss = "nan" if "nan" in HYPERPARAMETERS and number == 0 else f"{1 / (number + 1):.6f}"
    _say(f"{quality}, train cross_entropy <loss>={loss}")
    _say(f"#throughput_metric: host=algo-1, train throughput={30 + number} records/second")
    _say(f"{quality}, validation mIOU <score>=(0.{number + 1})")
    _say(f"{quality}, validation pixel_accuracy <score>=0.8{number}")
    _say(f"#progress_metric: host=algo-1, completed {100 * (number + 1) // epochs} % of epochs")


def _save() -> None:
    for name in filter(
        None, HYPERPARAMETERS.get("files", "model_algo-1,model_best.params,hyperparams.json").split(",")
    ):
        content = json.dumps(HYPERPARAMETERS).encode() if name.endswith(".json") else _weights()
        (ROOT / "model" / name).write_bytes(content)
    if "data" in HYPERPARAMETERS:
        (ROOT / "output/data" / HYPERPARAMETERS["data"]).write_text("extra")


def _checkpoints() -> Path | None:
    """Return the folder of the checkpoints; None for a job without them."""
    config = ROOT / "input/config/checkpointconfig.json"
    if not config.is_file():
        return None
    return ROOT / PurePosixPath(json.loads(config.read_text())["LocalPath"]).relative_to("/opt/ml")


def _train(epochs: int) -> None:
    """Run the epochs, from the one after the last checkpoint."""
    folder = _checkpoints()
    saved = sorted(folder.glob("epoch-*.json")) if folder else []
    first = len(saved)
    if saved:
        _say(f"Resuming from the checkpoint {saved[-1].name}: the next epoch is {first}")
    for number in range(first, epochs):
        _epoch(number, epochs)
        if folder:
            (folder / f"epoch-{number:04}.json").write_text("{}")
        held = folder and not saved and OPTIONS.get("hold") == str(number)
        if STOP.wait(600 if held else float(HYPERPARAMETERS.get("seconds", "0.02"))):
            return


def _weights() -> bytes:
    """Return parameters that look like a model with this number of classes."""
    # Beside this file. Imported late, as it is slow: a job may be stopped early.
    from artifacts import gluoncv_shapes, parameters

    return parameters(gluoncv_shapes(classes=int(HYPERPARAMETERS.get("num_classes", "3"))))


def main() -> int:
    signal.signal(signal.SIGTERM, signal.SIG_IGN if "stubborn" in HYPERPARAMETERS else _on_sigterm)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM})
    threading.Thread(target=_die_with_the_sandbox, daemon=True).start()
    if "child" in HYPERPARAMETERS:
        code = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
        print("child", subprocess.Popen([sys.executable, "-c", code]).pid, flush=True)
    files = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "input/data").rglob("*") if path.is_file())
    print(
        json.dumps(
            {
                "pid": os.getpid(),
                "files": files,
                "hyperparameters": HYPERPARAMETERS,
                "environ": dict(os.environ),
            }
        ),
        flush=True,
    )
    print(HYPERPARAMETERS.get("echo", "begin"), flush=True)
    if "fail" in HYPERPARAMETERS:
        (ROOT / "output/failure").write_text(HYPERPARAMETERS["fail"])
        return int(HYPERPARAMETERS.get("code", "2"))
    _train(int(HYPERPARAMETERS.get("epochs", "3")))
    if "kill" in HYPERPARAMETERS:
        os.kill(os.getpid(), signal.SIGKILL)
    while "stubborn" in HYPERPARAMETERS:
        time.sleep(1)
    _save()
    return int(HYPERPARAMETERS.get("code", "0"))


if __name__ == "__main__":
    sys.exit(main())
