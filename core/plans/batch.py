"""Plans that start and stop a transform job."""

from __future__ import annotations

from core.batch.job import BatchSpec, TransformJob, check_spec, status_in_words, to_request
from core.cost.batch import BatchPrice
from core.endpoints.spec import EndpointSpec
from core.errors import InputError
from core.plans.plan import ApiCall, Plan
from core.plans.steps import new_model, put_object


def plan_batch(
    spec: BatchSpec,
    price: BatchPrice,
    *,
    model: EndpointSpec | None = None,
    manifest: str = "",
    warnings: tuple[str, ...] = (),
) -> Plan:
    """Start a transform job. Raises InputError with all errors of `check_spec`.

    model:    the source of a model to create first, whose `model_name` is `spec.model`.
    manifest: the content of the manifest at `spec.input_uri` to write first; empty if there is none, or it exists.
    warnings: sentences from `core.batch.objects.check_inputs`.
    """
    problems = check_spec(spec)
    errors = [problem.message for problem in problems if problem.is_error]
    if errors:
        raise InputError(
            f"The transform job {spec.name!r} cannot be started. {errors[0]}", why=" ".join(errors[1:])
        )
    steps = []
    if manifest:
        more = {"Body": manifest, "ContentType": "application/json"}
        steps.append(put_object(spec.input_uri, more, f"Write the list of images to {spec.input_uri}."))
    steps += new_model(model) if model is not None else ()
    machines = f"{spec.instance_count} × {spec.instance_type}"
    what = f"Start the transform job {spec.name} on {machines}; outputs go to {spec.output_uri}."
    steps.append(ApiCall("sagemaker", "CreateTransformJob", to_request(spec), what))
    own = tuple(problem.message for problem in problems if not problem.is_error)
    unknown = () if price.per_hour else (price.source,)
    return Plan(
        "start batch",
        spec.name,
        tuple(steps),
        price,
        tuple(dict.fromkeys((*warnings, *own, *unknown))),
        "stop the job. Its outputs stay in S3, and its name cannot be reused."
        if not price.billed
        else "stop the job; the time until then is billed, and its outputs stay in S3. Its name cannot be reused.",
    )


def plan_stop_batch(job: TransformJob, *, billed: bool = True) -> Plan:
    """Stop a transform job. Raises InputError if it is no longer running. billed: not in the sandbox."""
    if not job.running or job.status == "Stopping":
        raise InputError(
            f"The transform job {job.name} cannot be stopped: it {status_in_words(job)}.",
            todo="No action is needed.",
        )
    call = ApiCall(
        "sagemaker", "StopTransformJob", {"TransformJobName": job.name}, f"Stop the transform job {job.name}."
    )
    return Plan(
        "stop batch",
        job.name,
        (call,),
        None,
        (
            f"The outputs that it has written stay in S3{'; the time until then is billed' if billed else ''}.",
        ),
        "a stopped job does not continue. Resume it: a new job for the images that have no output.",
    )
