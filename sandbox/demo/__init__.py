"""What a new sandbox starts with: two trained models and pictures to try them on."""
