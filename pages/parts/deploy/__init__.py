"""The page that deploys a model: where it lies, what it is, the form, and what is looked at before it starts."""
