"""The datasets page: the form that selects one, the validation report, its pairs, and the actions."""
