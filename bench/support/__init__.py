"""What the measurements and the tests share."""
