"""Upload the demo's five images to the four channels: enough for a whole training job."""

from pathlib import Path

import boto3

BUCKET, PREFIX = "segdeck-sandbox", "small"
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
HYPERPARAMETERS = {
    "algorithm": "light",  # the sandbox's own: AWS's three take minutes per epoch on a CPU
    "num_classes": "6",
    "num_training_samples": "4",
    "epochs": "2",
    "mini_batch_size": "2",
    "crop_size": "160",
}
CHANNELS = {
    "train": "image/jpeg",
    "validation": "image/jpeg",
    "train_annotation": "image/png",
    "validation_annotation": "image/png",
}


def upload() -> dict[str, str]:
    """Upload the channels and return their S3 URIs by name."""
    s3 = boto3.client("s3")
    images = sorted(Path("sandbox/demo/aerial/examples").glob("*.jpg"))
    for number, image in enumerate(images):
        channel = "validation" if number == 0 else "train"
        mask = image.with_name(f"{image.stem}_truth.png")
        s3.upload_file(str(image), BUCKET, f"{PREFIX}/{channel}/{image.name}")
        s3.upload_file(str(mask), BUCKET, f"{PREFIX}/{channel}_annotation/{image.stem}.png")
    return {channel: f"s3://{BUCKET}/{PREFIX}/{channel}/" for channel in CHANNELS}
