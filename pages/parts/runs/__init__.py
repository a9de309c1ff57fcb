"""The Runs page: the list of stored runs, and what is the same for each of them."""
