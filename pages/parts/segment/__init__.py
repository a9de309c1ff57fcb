"""The Segment page: uploads, inference in the background, and the results."""
