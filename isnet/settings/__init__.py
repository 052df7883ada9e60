"""Settings of the project: params.yaml, the configs of its runs, and the paths of a checkout."""
