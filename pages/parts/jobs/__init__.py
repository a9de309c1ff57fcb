"""The training jobs pages: the list of jobs, the comparison of several, and the page of one."""
