"""params.yaml typed, experiments resolved, keys of finished work, paths of a checkout."""
