"""Upload the demo's five images to the four channels: enough for a whole training job."""

from pathlib import Path

import boto3

BUCKET, PREFIX = "segdeck-sandbox", "small"
ROLE = "arn:aws:iam::123456789012:role/SegdeckSandboxRole"
IMAGE = "811284229777.dkr.ecr.us-east-1.amazonaws.com/semantic-segmentation:1"
HYPERPARAMETERS = {
    "algorithm": "light",  # the sandbox's own: AWS's three take minutes an epoch on a processor
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
    photos = sorted(Path("sandbox/demo/aerial/examples").glob("*.jpg"))
    for number, photo in enumerate(photos):
        channel = "validation" if number == 0 else "train"
        truth = photo.with_name(f"{photo.stem}_truth.png")
        s3.upload_file(str(photo), BUCKET, f"{PREFIX}/{channel}/{photo.name}")
        s3.upload_file(str(truth), BUCKET, f"{PREFIX}/{channel}_annotation/{photo.stem}.png")
    return {channel: f"s3://{BUCKET}/{PREFIX}/{channel}/" for channel in CHANNELS}
