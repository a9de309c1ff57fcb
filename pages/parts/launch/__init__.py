"""The form that starts a training job, and what is looked at before anything is paid."""
