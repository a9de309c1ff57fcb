#!/bin/sh
# Usage: aws_cli_endpoints.sh IMAGE OUTPUT_FOLDER. Create, update, shift traffic of and delete an endpoint.
set -eu
for model in aerial-land-cover coastlines; do
    aws sagemaker create-endpoint-config --endpoint-config-name "cli-$model" --output text --production-variants \
        "VariantName=A,ModelName=$model,InstanceType=ml.c5.xlarge,InitialInstanceCount=1" \
        "VariantName=B,ModelName=$model,InstanceType=ml.c5.xlarge,InitialInstanceCount=1"
done
aws sagemaker create-endpoint --endpoint-name cli --endpoint-config-name cli-aerial-land-cover --output text
aws sagemaker wait endpoint-in-service --endpoint-name cli
aws sagemaker update-endpoint --endpoint-name cli --endpoint-config-name cli-coastlines --output text
aws sagemaker wait endpoint-in-service --endpoint-name cli
aws sagemaker update-endpoint-weights-and-capacities --endpoint-name cli --output text \
    --desired-weights-and-capacities VariantName=A,DesiredWeight=0 VariantName=B,DesiredWeight=1
aws sagemaker wait endpoint-in-service --endpoint-name cli
aws sagemaker describe-endpoint --endpoint-name cli --output text \
    --query '[EndpointConfigName,ProductionVariants[].[VariantName,CurrentWeight]]'
aws sagemaker-runtime invoke-endpoint --endpoint-name cli --body "fileb://$1" --content-type image/jpeg \
    --accept image/png "$2/cli-life.png" --query InvokedProductionVariant --output text
aws sagemaker delete-endpoint --endpoint-name cli
aws sagemaker wait endpoint-deleted --endpoint-name cli
for model in aerial-land-cover coastlines; do
    aws sagemaker delete-endpoint-config --endpoint-config-name "cli-$model"
done
