"""A local SageMaker: it runs on this machine and speaks the AWS protocol on loopback."""
