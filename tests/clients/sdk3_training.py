"""`ModelTrainer` of the SageMaker SDK version 3: train with logs."""

from sagemaker.core.helper.session_helper import Session
from sagemaker.core.utils.utils import configure_logging
from sagemaker.train.configs import Compute, InputData, OutputDataConfig, StoppingCondition
from sagemaker.train.model_trainer import ModelTrainer
from small_data import BUCKET, HYPERPARAMETERS, IMAGE, ROLE, upload

configure_logging("INFO")  # without it the SDK fetches the log and shows nothing
trainer = ModelTrainer(
    training_image=IMAGE,
    sagemaker_session=Session(default_bucket=BUCKET),
    role=ROLE,
    base_job_name="clients",
    compute=Compute(instance_type="ml.p3.2xlarge", instance_count=1, volume_size_in_gb=50),
    stopping_condition=StoppingCondition(max_runtime_in_seconds=3600),
    output_data_config=OutputDataConfig(s3_output_path=f"s3://{BUCKET}/clients"),
    hyperparameters=HYPERPARAMETERS,
)
inputs = [InputData(channel_name=name, data_source=uri) for name, uri in upload().items()]
trainer.train(input_data_config=inputs, wait=True, logs=True)
job = trainer._latest_training_job  # the SDK's own examples read it here
print(job.training_job_status, job.model_artifacts.s3_model_artifacts)
print({metric.metric_name: metric.value for metric in job.final_metric_data_list})
