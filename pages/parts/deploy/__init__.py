"""The deploy page: choice of the model, its inspection, the form, and the pre-flight checks."""
