"""Reads image files: headers, pixels, bands, windows, and the values that become 8 bits."""
