"""The installed command `segdeck`: its version, the two commands that serve, and that it works in any folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from subprocess import PIPE, Popen
from urllib.request import urlopen

import pytest
from click.testing import Result

import cli
from sandbox.__main__ import main as sandbox_main
from sandbox.launcher import write_address
from sandbox.server import Sandbox
from tests.support.command_line import CliRunner
from tests.support.patience import SECONDS

ROOT = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
ANSI = re.compile(r"\x1b\[[\d;]*m")
TEXTS = [
    path
    for folder in ("commands", "core", "pages", "sandbox", "docs")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".js", ".html", ".md"}
] + [ROOT / name for name in ("app.py", "README.md", "SECURITY.md", "Makefile")]
ALIAS = "docs/command-line/README.md"


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, arguments, prog_name="segdeck")


def script(*arguments: str, cwd: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own: `run` and `sandbox` replace the process that calls them."""
    return subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        cwd=cwd, env=os.environ | environ, capture_output=True, text=True, check=False, timeout=SECONDS,
    )  # fmt: skip


def test_the_installed_command_runs_in_any_folder(tmp_path: Path) -> None:
    """Set-up installs `segdeck` next to the interpreter; from another folder it prints name and version."""
    command = Path(sys.executable).with_name("segdeck")
    assert command.exists(), (
        f"{command} does not exist. Install it with `make run` or `make test`, "
        f"or: {sys.executable} -m pip install --no-deps --no-build-isolation -e {ROOT}"
    )
    done = subprocess.run(
        [command, "--version"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert (done.returncode, done.stdout) == (0, f"segdeck {PROJECT['version']}\n"), done.stderr


def test_the_entry_point_is_the_function_that_the_alias_calls() -> None:
    """`segdeck` and `python cli.py` both call `cli.main`."""
    assert PROJECT["scripts"] == {"segdeck": "cli:main"}
    assert re.search(r'if __name__ == "__main__":\n    main\(\)', (ROOT / "cli.py").read_text("utf-8"))


def test_the_version_stands_in_one_place() -> None:
    """`--version` prints the version of pyproject.toml, and no file of the product repeats it."""
    assert run("--version").stdout == f"segdeck {PROJECT['version']}\n"
    sources = [path for path in TEXTS if path.suffix == ".py"] + [ROOT / "cli.py"]
    assert not [path for path in sources if f'"{PROJECT["version"]}"' in path.read_text("utf-8")]


def test_usage_names_the_installed_command(tmp_path: Path) -> None:
    """The alias prints the usage of `segdeck`, from any folder."""
    done = script("jobs", "list", "--limit", "0", cwd=tmp_path)
    assert done.returncode == 2
    assert "Usage: segdeck jobs list" in done.stderr


def test_messages_name_the_installed_command() -> None:
    """No text of the product names `python cli.py`, except the reference, which mentions the alias."""
    named = {
        path.relative_to(ROOT).as_posix() for path in TEXTS if "python cli.py" in path.read_text("utf-8")
    }
    assert named == {ALIAS}


def test_the_shell_completes_commands_and_options(tmp_path: Path) -> None:
    """Bash completes the name of a command and of an option."""
    for words, completed in (("segdeck end", "endpoints"), ("segdeck segment --overw", "--overwrite")):
        current = str(len(words.split()) - 1)
        environ = {"_SEGDECK_COMPLETE": "complete_bash", "COMP_WORDS": words, "COMP_CWORD": current}
        done = script(cwd=tmp_path, **environ)
        assert done.stdout.split() == [completed], done.stderr


def test_run_starts_the_dashboard_from_any_folder(tmp_path: Path) -> None:
    """`segdeck run` serves the dashboard of the checkout, in the mode and at the address of its options."""
    environ = os.environ | {"SEGDECK_MODE": "sandbox", "SEGDECK_STATE_DIR": str(tmp_path / "state")}
    command = [
        sys.executable,
        str(ROOT / "cli.py"),
        "run",
        "--mode",
        "aws",
        "--host",
        "127.0.0.2",
        "--port",
        "0",
    ]
    with Popen(command, cwd=tmp_path, env=environ, stderr=PIPE, text=True) as dashboard:
        try:
            assert dashboard.stderr is not None
            ready = next(line for line in dashboard.stderr if "Segdeck: http" in line)
            assert "sandbox" not in ready
            address = re.search(r"http://127\.0\.0\.2:\d+", ready)
            assert address is not None, ready
            with urlopen(f"{address[0]}/_stcore/health", timeout=SECONDS) as answer:
                assert answer.status == 200
        finally:
            dashboard.terminate()
    assert not list(tmp_path.iterdir()), "it wrote into the current folder"


def test_the_sandbox_command_has_the_options_of_the_module(capsys: pytest.CaptureFixture[str]) -> None:
    """`segdeck sandbox` takes every option of `python -m sandbox`, and no other."""
    with pytest.raises(SystemExit):
        sandbox_main(["--help"])
    module = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    command = set(
        re.findall(r"--[a-z-]+", ANSI.sub("", run("sandbox", "--help").stdout).split("Options ─")[1])
    )
    assert command == module


def test_the_sandbox_command_passes_its_options_on(sandbox_server: Sandbox, tmp_path: Path) -> None:
    """`--data`, relative to the current folder, and `--print-env` find the sandbox that runs there."""
    (tmp_path / "data").mkdir()
    write_address(tmp_path / "data", sandbox_server.address)
    running = script("sandbox", "--data", "data", "--print-env", cwd=tmp_path)
    assert running.returncode == 0, running.stderr
    assert f"export AWS_ENDPOINT_URL={sandbox_server.address.url}" in running.stdout


def test_the_sandbox_command_has_the_exit_codes_of_the_module(tmp_path: Path) -> None:
    """An address other than loopback is refused with exit code 2."""
    refused = script("sandbox", "--data", "data", "--host", "192.0.2.1", cwd=tmp_path)
    assert refused.returncode == 2
    assert "--host 192.0.2.1 is refused" in refused.stderr
