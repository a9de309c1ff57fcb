"""The overview page: running jobs and endpoints, cost, failures, interrupted changes, and a live example."""
