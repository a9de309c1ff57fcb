#!/bin/sh
# Usage: aws_cli_transform.sh IMAGE FOLDER. Run a transform job, wait for it, download its output, read its log.
set -eu
bucket=segdeck-sandbox name=cli-batch
aws s3 cp --quiet "$1" "s3://$bucket/batch/cli/$(basename "$1")"
source="S3DataSource={S3DataType=S3Prefix,S3Uri=s3://$bucket/batch/cli/}"
aws sagemaker create-transform-job --transform-job-name $name --model-name aerial-land-cover \
    --transform-input "DataSource={$source},ContentType=image/jpeg" \
    --transform-output "S3OutputPath=s3://$bucket/batch/cli-masks,Accept=image/png" \
    --transform-resources InstanceType=ml.c5.xlarge,InstanceCount=1 --query TransformJobArn --output text
until aws sagemaker describe-transform-job --transform-job-name $name --query TransformJobStatus --output text |
    grep -qv InProgress; do sleep 1; done
aws sagemaker wait transform-job-completed-or-stopped --transform-job-name $name
aws s3 cp --quiet "s3://$bucket/batch/cli-masks/$(basename "$1").out" "$2/cli-batch.png"
aws logs describe-log-streams --log-group-name /aws/sagemaker/TransformJobs --log-stream-name-prefix "$name/" \
    --query 'logStreams[].logStreamName' --output text
aws sagemaker list-transform-jobs --name-contains $name --query 'TransformJobSummaries[].TransformJobStatus' --output text
cmp "$2/cli-batch.png" "$2/cli.png"
