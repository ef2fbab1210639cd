/* The parts of the work that vector units do, in a version for each of them.

   PLAIN   any processor
   SSSE3   every x86-64 since 2006
   AVX512  with VBMI: Ice Lake, Zen 4 and later

   All versions give the same bytes. */
#ifndef FASTPONG_VECTORS_H
#define FASTPONG_VECTORS_H

#include "area.h"
#include "screens.h"

enum { PLAIN, SSSE3, AVX512 };
enum { AS_ABOVE = 1, ALIKE = 2 };

typedef struct Vectors {
    /* Return whether two rows of n bytes are equal. */
    int32_t (*equal)(const uint8_t *a, const uint8_t *b, size_t n);
    /* The same of a and b, as ALIKE, and of a and the row before it, as AS_ABOVE. */
    int32_t (*compare)(const uint8_t *a, const uint8_t *b, size_t n);
    /* Look up a row of palette indices, pooled with another. */
    void (*lookup)(const Picture *, const uint8_t *a, const uint8_t *b, int32_t n, uint8_t *grey);
    /* Of WHOLE: the sums across a row. Block by block, `lanes` sums each. */
    void (*across)(const Plan *, const uint8_t *grey, uint16_t *sums);
    /* Both of these in one, or NULL. Returns whether it did it. */
    int32_t (*row)(const Plan *, const Picture *, const uint8_t *a, const uint8_t *b,
                   uint8_t *grey, uint16_t *sums);
    /* Of WHOLE: some rows of sums to one of output. Returns the number of ties, writes their
       columns. */
    int32_t (*down)(const Plan *, const uint16_t *const *rows, const uint16_t *part, int32_t count,
                    uint8_t *out, int32_t *ties);
    int32_t lanes; /* sums that across and down make at a time */
} Vectors;

/* The fastest that this processor has. */
int32_t vectors_here(void);

const Vectors *vectors_of(int32_t which);

#endif
