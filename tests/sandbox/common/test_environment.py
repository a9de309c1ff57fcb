"""Which environment variables reach the programs that replace containers."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError

from sandbox.common.environment import environment_problem
from sandbox.hosting.container import StartError, allowed_environment
from sandbox.training.run import LOG_GROUP

IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
# Each of them makes a loader, an interpreter or a library run or read what it names, or changes where it looks.
DANGEROUS = """
LD_PRELOAD LD_AUDIT LD_LIBRARY_PATH DYLD_INSERT_LIBRARIES GLIBC_TUNABLES GCONV_PATH LOCPATH NLSPATH
MALLOC_CONF PYTHONPATH PYTHONSTARTUP PYTHONHOME PYTHONWARNINGS PYTHONBREAKPOINT PYTHONINSPECT
BROWSER PATH HOME SHELL ENV BASH_ENV IFS PERL5OPT RUBYOPT NODE_OPTIONS JAVA_TOOL_OPTIONS
MXNET_LIBRARY_PATH MXNET_HOME DMLC_PS_ROOT_URI OMP_TOOL_LIBRARIES OMP_NUM_THREADS KMP_AFFINITY
CUDA_VISIBLE_DEVICES OPENSSL_CONF OPENSSL_ENGINES SSL_CERT_FILE GIO_MODULE_DIR GIO_EXTRA_MODULES
GTK_MODULES QT_PLUGIN_PATH XDG_CONFIG_HOME TMPDIR TZDIR HTTP_PROXY https_proxy no_proxy
AWS_ACCESS_KEY_ID AWS_ENDPOINT_URL AWS_PROFILE HOSTALIASES RES_OPTIONS
NUMPY_EXPERIMENTAL_ARRAY_FUNCTION SANDBOX_LISTEN_FD SANDBOX_DEATH_PIPE_FD sm_lower SM sagemaker_x _ A
""".split()  # noqa: SIM905 - sixty quoted strings read worse


def _refusal(call: Callable[..., Any], **members: Any) -> str:
    with pytest.raises(ClientError) as caught:
        call(**members)
    response = caught.value.response
    assert (response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]) == (
        "ValidationException",
        400,
    )
    return str(response["Error"]["Message"])


@pytest.mark.parametrize("name", DANGEROUS)
def test_only_names_of_the_list_are_allowed(name: str) -> None:
    """A name without an allowed prefix is refused by name, with the allowed prefixes."""
    problem = environment_problem({"SM_HOSTS": "1", name: "x"})
    assert f"environment variables {name}: " in problem
    assert "SAGEMAKER_, SM_" in problem


def test_a_model_with_a_refused_variable_is_not_created(client: Callable[..., Any]) -> None:
    """CreateModel raises ValidationException, for either container member, and stores nothing."""
    sagemaker = client("sagemaker")
    container = {"Image": IMAGE, "Environment": {"LD_PRELOAD": "/tmp/x.so", "BROWSER": "x"}}
    for member, value in (("PrimaryContainer", container), ("Containers", [container])):
        text = _refusal(sagemaker.create_model, ModelName="preloaded", **{member: value})
        assert text.startswith(
            "Environment: The sandbox does not pass on the environment variables BROWSER, LD"
        )
    assert "Could not find" in _refusal(sagemaker.describe_model, ModelName="preloaded")


@pytest.mark.parametrize("value", ["a\0b", "\ud800"])
def test_a_value_that_cannot_be_passed_is_refused(client: Callable[..., Any], value: str) -> None:
    """NUL and lone surrogates are refused by the request, not when the process starts."""
    container = {"Image": IMAGE, "Environment": {"SM_X": value}}
    text = _refusal(client("sagemaker").create_model, ModelName="nul", PrimaryContainer=container)
    assert "The value of SM_X contains a NUL or a character that is not valid Unicode" in text


def test_a_name_that_is_not_a_name_is_refused_as_aws_does(client: Callable[..., Any]) -> None:
    """Keys match [a-zA-Z_][a-zA-Z0-9_]*."""
    container = {"Image": IMAGE, "Environment": {"SM_X=1\nLD_PRELOAD": "x"}}
    text = _refusal(client("sagemaker").create_model, ModelName="bad", PrimaryContainer=container)
    assert "Member must satisfy regular expression pattern: [a-zA-Z_][a-zA-Z0-9_]*" in text


def test_a_training_job_gets_its_own_variables_and_no_others(
    client: Callable[..., Any],
    train: Callable[..., str],
    training_request: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Allowed variables reach the program, refused ones raise an error, the user's credentials are not passed."""
    logs, sagemaker = client("logs"), client("sagemaker")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.setenv(name, "of-the-user")
    monkeypatch.setenv("PYTHONWARNINGS", "default")
    members = {"Environment": {"SM_MINE": "1", "JOB_STAGE": "test", "TRAINING_JOB_NAME": "forged"}}
    name = train(members=members)
    events = logs.filter_log_events(logGroupName=LOG_GROUP, logStreamNamePrefix=f"{name}/")["events"]
    environ = next(json.loads(event["message"]) for event in events if '"environ"' in event["message"])[
        "environ"
    ]
    wanted = {"SM_MINE": "1", "JOB_STAGE": "test", "TRAINING_JOB_NAME": name, "AWS_REGION": "us-east-1"}
    assert {key: environ.get(key) for key in wanted} == wanted
    assert "of-the-user" not in environ.values()
    assert "PYTHONWARNINGS" not in environ
    request = training_request("preloaded", {}, Environment={"PYTHONWARNINGS": "x"})
    text = _refusal(sagemaker.create_training_job, **request)
    assert "Environment: The sandbox does not pass on the environment variables PYTHONWARNINGS" in text


def test_refused_variables_of_an_earlier_version_reach_no_process() -> None:
    """A stored model with a refused variable fails to start, with the same text."""
    with pytest.raises(StartError, match="does not pass on the environment variables LD_PRELOAD"):
        allowed_environment({"LD_PRELOAD": "x"})
