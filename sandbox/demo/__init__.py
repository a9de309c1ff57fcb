"""The content of a new sandbox: two trained models, images to try them on, and recorded training jobs."""
