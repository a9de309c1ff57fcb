"""A SageMaker that runs on this machine and speaks the AWS protocol on loopback."""
