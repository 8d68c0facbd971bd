"""What people do, from wherever they do it: checked against who they are, done, and noted.

API and console are two ways in. Each module has the things of its name, `user` is who does it.
Every function may raise ForbiddenError, NotFoundError, ConflictError, and what broker and store do.
"""
