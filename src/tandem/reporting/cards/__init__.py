"""The run as texts for machines and registries: cards of model and data in Markdown, Croissant metadata in JSON-LD."""
