"""A project of one's own: the files it is made of, its parameters by its data, its way to a new version.

The files are those of tandem's own repository. What a project computes is the rooms' below.
"""
