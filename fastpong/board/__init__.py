"""The board: a live page about the runs of a directory.

It reads run directories, and nothing in training knows of it. Only `serve` and `app` need Starlette
and uvicorn.
"""
