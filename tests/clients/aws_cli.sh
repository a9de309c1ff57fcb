#!/bin/sh
# Usage: aws_cli.sh IMAGE OUTPUT_FOLDER. Invoke an endpoint with the AWS CLI.
set -eu
aws sts get-caller-identity --query Account --output text
aws sagemaker list-endpoints --status-equals InService --query 'Endpoints[].EndpointName' --output text
aws sagemaker wait endpoint-in-service --endpoint-name aerial-land-cover
aws s3 ls --recursive s3://segdeck-sandbox/models/
for kind in "image/png png" "application/x-recordio-protobuf recordio"; do
    set -- "$1" "$2" $kind
    aws sagemaker-runtime invoke-endpoint --endpoint-name aerial-land-cover --body "fileb://$1" \
        --content-type image/jpeg --accept "$3" "$2/cli.$4" --query ContentType --output text
done
