"""The first page: what runs, what it costs, what failed, and changes that were cut."""
