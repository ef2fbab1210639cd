#include "screens.h"

#include <string.h>

#include "vectors.h"

/* One copy of a function for each vector unit, chosen when the module is loaded. */
#if defined(__x86_64__) && defined(__gnu_linux__) && defined(__GNUC__) && !defined(__clang__)
#define CLONED __attribute__((target_clones("default", "avx2", "avx512f")))
#else
#define CLONED
#endif

/* ALE's own greys: round(.2989 R + .5870 G + .1140 B). In whole numbers, which differ from doubles
   in no colour but at ties, and no console's colour is one. */
static inline uint8_t grey_of_ale(unsigned red, unsigned green, unsigned blue) {
    return (uint8_t)((2989 * red + 5870 * green + 1140 * blue + 5000) / 10000);
}

/* cv2.COLOR_RGB2GRAY, in 15 bits. */
static inline uint8_t grey_of_opencv(unsigned red, unsigned green, unsigned blue) {
    return (uint8_t)((9798 * red + 19235 * green + 3735 * blue + 16384) >> 15);
}

static inline unsigned greater(unsigned a, unsigned b) { return a > b ? a : b; }

CLONED void grey_of_all(const uint8_t *rgb, size_t n, int32_t compat, uint8_t *out) {
    if (compat == GYMNASIUM)
        for (size_t i = 0; i < n; i++)
            out[i] = grey_of_ale(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
    else
        for (size_t i = 0; i < n; i++)
            out[i] = grey_of_opencv(rgb[3 * i], rgb[3 * i + 1], rgb[3 * i + 2]);
}

CLONED void greatest_of(const uint8_t *a, const uint8_t *b, size_t n, uint8_t *out) {
    for (size_t i = 0; i < n; i++)
        out[i] = a[i] > b[i] ? a[i] : b[i];
}

static inline uint8_t pooled_grey(const uint8_t *a, const uint8_t *b) {
    return grey_of_opencv(greater(a[0], b[0]), greater(a[1], b[1]), greater(a[2], b[2]));
}

uint8_t pooled_index(const Picture *picture, uint8_t a, uint8_t b) {
    const uint8_t *one = picture->palette + 3 * a, *two = picture->palette + 3 * b;
    if (picture->kind == INDICES)
        return (uint8_t)greater(picture->value[a], picture->value[b]);
    return a == b ? picture->value[a] : pooled_grey(one, two);
}

CLONED static void row_of_bytes(
    const uint8_t *a, const uint8_t *b, int32_t columns, int32_t channels, uint8_t *grey) {
    for (int32_t x = 0; x < columns; x++)
        grey[x] = (uint8_t)greater(a[(size_t)x * channels], b[(size_t)x * channels]);
}

CLONED static void row_of_colours(
    const uint8_t *a, const uint8_t *b, int32_t columns, uint8_t *grey) {
    for (int32_t x = 0; x < columns; x++, a += 3, b += 3)
        grey[x] = (uint8_t)greater(grey_of_ale(a[0], a[1], a[2]), grey_of_ale(b[0], b[1], b[2]));
}

CLONED static void row_of_greatest(const uint8_t *a, const uint8_t *b, int32_t columns, uint8_t *grey) {
    for (int32_t x = 0; x < columns; x++, a += 3, b += 3)
        grey[x] = pooled_grey(a, b);
}

void row_of(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t columns, uint8_t *grey) {
    switch (picture->kind) {
    case BYTES:
        if (picture->channels == 1)
            greatest_of(a, b, (size_t)columns, grey);
        else
            row_of_bytes(a + picture->channel, b + picture->channel, columns, picture->channels, grey);
        break;
    case COLOURS:
        if (a == b)
            grey_of_all(a, (size_t)columns, GYMNASIUM, grey);
        else
            row_of_colours(a, b, columns, grey);
        break;
    case COLOURS_MAX:
        if (a == b)
            grey_of_all(a, (size_t)columns, SB3, grey);
        else
            row_of_greatest(a, b, columns, grey);
        break;
    default:
        picture->vectors->lookup(picture, a, b, columns, grey);
    }
}

Picture picture_of(const uint8_t *frame, int32_t columns, int32_t channels, int32_t channel, int32_t vectors) {
    Picture picture = {BYTES, channels, channel, frame, frame, (size_t)columns * (size_t)channels,
                       NULL, {0}, {0}, vectors_of(vectors)};
    return picture;
}

/* Fill the table of a palette's values: greys by `compat`, or one channel. */
static void fill_values(Picture *picture, int32_t compat) {
    if (compat == CLEANRL)
        for (int32_t i = 0; i < 256; i++)
            picture->value[i] = picture->palette[3 * i + picture->channel];
    else
        grey_of_all(picture->palette, 256, compat, picture->value);
    for (int32_t i = 0; i < 128; i++)
        picture->steps[i] = picture->value[2 * i] ^ (i < 16 ? 0 : picture->value[2 * i - 32]);
}

static Picture screens_as_picture(
    const uint8_t *frame, const uint8_t *previous, int32_t screen, const uint8_t *palette,
    int32_t compat, int32_t channel, int32_t columns, int32_t vectors) {
    static const int32_t kinds[3][3] = {
        {BYTES, BYTES, BYTES}, {INDICES, INDICES_MAX, INDICES}, {COLOURS, COLOURS_MAX, BYTES}};
    Picture picture = picture_of(frame, columns, screen == SCREEN_RGB ? 3 : 1, channel, vectors);
    picture.kind = kinds[screen][compat];
    picture.previous = previous;
    picture.palette = palette;
    if (screen == SCREEN_PALETTE)
        fill_values(&picture, compat);
    return picture;
}

size_t frame_room(const Plan *plan) {
    return plan->room + 3 * (size_t)plan->x.out * (size_t)plan->y.out;
}

void frame_of(
    const Plan *plan, const uint8_t *frame, const uint8_t *previous, int32_t screen,
    const uint8_t *palette, int32_t compat, int32_t vectors, uint8_t *out, uint8_t *room) {
    int32_t resized_first = compat == CLEANRL && screen != SCREEN_GREY;
    size_t pixels = (size_t)plan->x.out * (size_t)plan->y.out;
    uint8_t *planes = room + plan->room;
    for (int32_t channel = 0; channel < (resized_first ? 3 : 1); channel++) {
        Picture picture = screens_as_picture(
            frame, previous, screen, palette, compat, channel, plan->x.size, vectors);
        uint8_t *to = resized_first ? planes + pixels * (size_t)channel : out;
        resize_picture(plan, &picture, to, 1, room);
    }
    if (resized_first)
        for (size_t i = 0; i < pixels; i++)
            out[i] = grey_of_opencv(planes[i], planes[pixels + i], planes[2 * pixels + i]);
}
