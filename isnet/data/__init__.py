"""Data sets: what is known of them, download, label conversion, packing, loading, generation."""
