"""The list of training jobs, the comparison of some, and the page of one."""
