"""What may keep a machine, an installation or a project from running the pipeline, found out before it runs."""
