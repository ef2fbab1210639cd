"""Watching: games frame by frame, in a terminal, in a window, or as a video.

Nothing in training depends on this room. It reads weights and plays games of its own.
"""
