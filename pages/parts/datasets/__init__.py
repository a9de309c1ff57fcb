"""The page of data sets: where one lies, what the check found, its pairs, and what to do with it."""
