"""Looks at a folder of images and labels, and proposes its description and a run (`isnet init`)."""
