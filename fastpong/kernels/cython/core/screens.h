/* Pictures, row by row: one screen, or two pooled by the maximum, as grey or as one channel. */
#ifndef FASTPONG_SCREENS_H
#define FASTPONG_SCREENS_H

#include "area.h"

/* What a screen's bytes are. In the order of kernels.atari. */
enum { SCREEN_GREY, SCREEN_PALETTE, SCREEN_RGB };

/* Whose frames: grey, pooled, resized; pooled, grey, resized; pooled, resized, grey. In the order
   of kernels.atari.COMPATS. */
enum { GYMNASIUM, SB3, CLEANRL };

/* How a row of a picture comes about. */
enum {
    BYTES,       /* the greater of two bytes, of one channel of `channels` */
    COLOURS,     /* the greater of ALE's greys */
    COLOURS_MAX, /* OpenCV's grey of the greatest red, green and blue */
    INDICES,     /* of the palette: the greater of their `value` */
    INDICES_MAX  /* of the palette: OpenCV's grey of the greatest red, green and blue */
};

typedef struct Picture {
    int32_t kind, channels, channel;
    const uint8_t *frame, *previous; /* the same one: nothing to pool */
    size_t pitch;                    /* bytes of a row */
    const uint8_t *palette;          /* (256, 3) */
    uint8_t value[256];
    uint8_t steps[128]; /* of the even indices' values, all that most consoles show: see vectors.c */
    const struct Vectors *vectors;
} Picture;

/* Grey values of n colours, by `compat`. */
void grey_of_all(const uint8_t *rgb, size_t n, int32_t compat, uint8_t *out);

/* The value of two pooled indices of the palette. */
uint8_t pooled_index(const Picture *picture, uint8_t a, uint8_t b);

/* The greater of each two. */
void greatest_of(const uint8_t *a, const uint8_t *b, size_t n, uint8_t *out);

/* Write a row of `columns` pixels, of one on each screen. */
void row_of(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t columns, uint8_t *grey);

/* One channel of a picture alone. */
Picture picture_of(
    const uint8_t *frame, int32_t columns, int32_t channels, int32_t channel, int32_t vectors);

/* Two screens to one frame, as the environments of `compat` make it.
   room : frame_room bytes */
void frame_of(
    const Plan *plan, const uint8_t *frame, const uint8_t *previous, int32_t screen,
    const uint8_t *palette, int32_t compat, int32_t vectors, uint8_t *out, uint8_t *room);
size_t frame_room(const Plan *plan);

#endif
