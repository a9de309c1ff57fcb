"""Batch transform: masks of many images, made by SageMaker. Values and rules only; `core.aws.batch` reads AWS."""
