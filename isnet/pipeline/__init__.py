"""The stages of the pipeline: each reads its declared inputs, adopts finished work or does it, and
writes its declared outputs.
"""
