"""The rules of semantic segmentation on SageMaker. No Streamlit; boto3 only in `core/aws`."""
