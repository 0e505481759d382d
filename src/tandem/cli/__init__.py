"""The command `tandem`. With stages/ the only place that knows where a project keeps its files."""
