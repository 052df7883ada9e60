"""The records that stages exchange as JSON and CSV."""
