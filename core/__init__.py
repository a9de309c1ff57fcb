"""The rules of semantic segmentation on SageMaker. No Streamlit here, and boto3 only under `core/aws`."""
