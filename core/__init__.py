"""The rules of semantic segmentation on SageMaker, without Streamlit, and with boto3 in `core.aws` only.

access         Check the setup of an account: permissions, execution role, bucket, quotas.
artifacts      Inspect a `model.tar.gz` without unpacking it.
aws            Read from AWS and carry out plans: the only package that makes calls.
batch          Describe transform jobs: inputs, progress, results. Segment S3 prefixes with an endpoint.
cost           Price training jobs, transform jobs and endpoints.
datasets       Read, check, fix and upload datasets.
endpoints      Describe endpoints: specs, health, traffic, diagnosis.
evaluation     Score endpoints on labeled images and write the report.
imaging        Decode images and masks, and compute scores: arrays.
inference      Segment images: invoke, decode, export.
notifications  Report ended jobs and idle endpoints to a webhook.
plans          Describe changes to AWS as values, and keep their journal.
render         Draw overlays, masks, legends and the figure for a report.
runs           Store segmentations and evaluations with their responses, and reuse these.
tiles          Segment images of any size in overlapping tiles: plan, read, blend, write; compare maps, measure zones.
training       Describe training jobs: hyperparameters, pre-flight checks, curves, diagnosis.
wire           Decode the algorithm's responses: RecordIO, protobuf, PNG. Bytes in, arrays out.

accounts       Choose an account and a region: roles, profiles, URL parameters.
errors         The tree of errors: what happened, why, what to do.
escaping       Text from others as data, with one function for each surface.
failures       Failures as rows of a JSON document.
partial_files  Files that are being written, and what a killed run left of them.
local_files    Open local files safely, and keep private ones private.
locks          Lock a file across processes.
partial_files  Lock a file while it is written.
origins        Compare web origins as browsers do.
partitions     Tell the partitions of AWS apart, with their consoles.
s3_uri         Split S3 URIs.
settings       Read settings from environment variables.
strict_json    Read JSON of unknown origin with one kind of error.
text           Format numbers, lists and durations.
"""
