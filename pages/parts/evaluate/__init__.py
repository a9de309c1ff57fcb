"""The Evaluate page: endpoints scored on labeled images."""
