"""Parts of the pages of transform jobs: the list, the launch form, and one job with the gallery of its masks."""
