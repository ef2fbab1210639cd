# The compile-time copy of ``fastpong.geometry.PONG``; a test holds the two together.

cdef enum:
    TOP = 35          # first row of the field on the screen
    FIELD = 160       # rows and columns of the field on the screen
    WORDS = 20        # of eight bytes in a row of the screen
    STRIDE = 2        # every second row and column makes a frame
    SIDE = 80         # rows and columns of a frame
    PIXELS = 6400
