"""Values to pictures."""
