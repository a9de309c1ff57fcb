#!/bin/sh
# Usage: aws_cli_reads.sh JOB START END FILE. Read a training job's metrics from CloudWatch, which version 2 of the AWS
# CLI does in CBOR, and its log as `logs tail` does: at once, and followed into FILE until its last line.
set -eu
group=/aws/sagemaker/TrainingJobs
metric="{\"Namespace\": \"$group\", \"MetricName\": \"validation:mIOU\", \"Dimensions\": [{\"Name\": \"TrainingJobName\", \"Value\": \"$1\"}]}"
values=$(aws cloudwatch get-metric-data --start-time "$2" --end-time "$3" --output text \
    --query 'length(MetricDataResults[0].Values)' \
    --metric-data-queries "[{\"Id\": \"miou\", \"MetricStat\": {\"Stat\": \"Maximum\", \"Period\": 60, \"Metric\": $metric}}]")
[ "$values" -gt 0 ] || { echo "get-metric-data returned no value of validation:mIOU." >&2; exit 1; }
case $(aws --version) in
aws-cli/1*) echo "get-metric-data: $values values (version 1 of the AWS CLI has no logs tail)"; exit ;;
esac
lines=$(aws logs tail $group --log-stream-name-prefix "$1/" --since 1d --format short | grep -c .)
# --follow never ends by itself.
aws logs tail $group --log-stream-name-prefix "$1/" --since 1d --follow --format short >"$4" &
follower=$!
tries=0
until [ "$(grep -c . "$4")" -ge "$lines" ]; do
    tries=$((tries + 1))
    [ $tries -lt 240 ] || { kill $follower; echo "logs tail --follow did not reach the end of the log." >&2; exit 1; }
    sleep 0.5
done
kill $follower
wait $follower 2>/dev/null || true
echo "get-metric-data: $values values; logs tail, and logs tail --follow: $lines lines"
