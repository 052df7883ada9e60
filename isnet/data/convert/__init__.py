"""From labels as they are published to train ids, with every file looked at and every pixel
counted.
"""
