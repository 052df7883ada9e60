"""Bringing a data set's files here: from servers, with an account where one is needed, from
archives, or found where they lie.
"""
