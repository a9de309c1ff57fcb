"""The page that segments photographs: what was dropped, the work under way, and the results."""
