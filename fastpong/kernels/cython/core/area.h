/* Resizing as OpenCV does with INTER_AREA, byte for byte.

   A picture is read row by row (screens.h). A row that equals the one above, as most of an Atari
   screen's do, is neither read nor resized again.

   Four ways, chosen by the sizes:

   LINEAR  an axis grows: two neighbours, weights of 11 bits
   BOX     both factors are whole: the mean of a box
   FLOAT   any other: float32 sums over the parts of pixels, in OpenCV's order
   WHOLE   the bytes of FLOAT in whole numbers, where they fit 16 bits: 210 x 160 to 84 x 84

   WHOLE. With cells of p / q columns and r / s rows, in lowest terms,

       S = sum of wy wx g,   wx: q-ths of a column in the cell, sum p;   wy: s-ths of a row, sum r
       out = floor((S + pr / 2) / pr)   wherever S mod pr != pr / 2

   Such a tie is decided by the rounding errors of OpenCV's float32 sums, so these are repeated
   there, and there only: 0.02 to 0.75 % of an Atari screen. No other S is closer to a tie than
   1 / 514, and the errors of the sums are below 0.0002.

   No fused multiply-adds: setup.py forbids them. */
#ifndef FASTPONG_AREA_H
#define FASTPONG_AREA_H

#include <stddef.h>
#include <stdint.h>

struct Picture;
struct Vectors;

enum { LINEAR, BOX, FLOAT, WHOLE };

/* One axis: output d is made of `count[d]` pixels from `first[d]` on, `taps` at most. The weights
   of an output stand in `taps` numbers, zeros at the end. */
typedef struct {
    int32_t size, out, taps;
    int32_t *first, *count;
    float *weight;         /* of FLOAT and of ties: OpenCV's */
    uint16_t *part;        /* of WHOLE: q-ths of a pixel */
    int32_t *coef;         /* of LINEAR: 2048ths */
    int32_t whole, parts;  /* p and q */
} Axis;

typedef struct {
    int32_t kind;
    Axis x, y;
    float scale;                        /* of BOX: 1 / pixels of a box */
    uint16_t half, shift, magic, post;  /* of WHOLE: v = ((S + half >> shift) * magic >> 16) >> post */
    uint16_t area;                      /* of WHOLE: pr */
    const struct Vectors *vectors;
    int32_t blocks;                     /* of WHOLE: that vectors make in one go */
    int32_t *base;                      /* the first column of a block */
    uint8_t *shuffle, *part01, *part23; /* two bytes for each sum of a block */
    int32_t in_registers;               /* whether `row` of vectors.h can make a row */
    size_t grey_pitch, sum_pitch;       /* bytes of a row */
    size_t room;                        /* bytes to work in */
} Plan;

static inline size_t round_up(size_t bytes) { return (bytes + 31) / 32 * 32; }

/* Return a plan of rows x columns to out_rows x out_columns, all 1 or more. NULL: no memory.
   vectors : of vectors.h, the fastest to use */
Plan *plan_make(
    int32_t rows, int32_t columns, int32_t out_rows, int32_t out_columns, int32_t vectors);
void plan_free(Plan *plan);

/* Resize a picture into `out`, whose pixels lie `step` bytes apart.
   room : plan->room bytes */
void resize_picture(
    const Plan *plan, const struct Picture *picture, uint8_t *out, int32_t step, uint8_t *room);

#endif
