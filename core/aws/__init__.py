"""The only place that speaks to AWS, or to the sandbox in its stead."""
