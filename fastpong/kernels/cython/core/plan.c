#include <float.h>
#include <math.h>
#include <stdlib.h>

#include "area.h"
#include "vectors.h"

static int32_t common_divisor(int32_t a, int32_t b) {
    while (b) {
        int32_t rest = a % b;
        a = b;
        b = rest;
    }
    return a;
}

static double factor_of(int32_t size, int32_t out) { return 1.0 / ((double)out / size); }

static int32_t is_whole(double factor) { return fabs(factor - rint(factor)) < DBL_EPSILON; }

static int32_t axis_make(Axis *axis, int32_t size, int32_t out) {
    int32_t divisor = common_divisor(size, out);
    size_t taps = (size_t)(size / out) + 4, all = (size_t)out * taps;
    *axis = (Axis){size, out, (int32_t)taps, NULL, NULL, NULL, NULL, NULL, size / divisor, out / divisor};
    axis->first = calloc((size_t)out, sizeof(int32_t));
    axis->count = calloc((size_t)out, sizeof(int32_t));
    axis->weight = calloc(all, sizeof(float));
    axis->part = calloc(all, sizeof(uint16_t));
    axis->coef = calloc(all, sizeof(int32_t));
    return axis->first && axis->count && axis->weight && axis->part && axis->coef;
}

static void axis_free(Axis *axis) {
    free(axis->first);
    free(axis->count);
    free(axis->weight);
    free(axis->part);
    free(axis->coef);
}

static void add_weight(Axis *axis, int32_t d, int32_t pixel, double weight) {
    if (!axis->count[d])
        axis->first[d] = pixel;
    axis->weight[(size_t)d * axis->taps + axis->count[d]++] = (float)weight;
}

/* OpenCV's computeResizeAreaTab, step by step. */
static void weigh_area(Axis *axis) {
    double scale = factor_of(axis->size, axis->out);
    for (int32_t d = 0; d < axis->out; d++) {
        double from = d * scale, to = from + scale;
        double cell = fmin(scale, axis->size - from);
        int32_t first = (int32_t)ceil(from), last = (int32_t)floor(to);
        last = last < axis->size - 1 ? last : axis->size - 1;
        first = first < last ? first : last;
        if (first - from > 1e-3)
            add_weight(axis, d, first - 1, (first - from) / cell);
        for (int32_t s = first; s < last; s++)
            add_weight(axis, d, s, 1.0 / cell);
        if (to - last > 1e-3)
            add_weight(axis, d, last, fmin(fmin(to - last, 1.0), cell) / cell);
    }
}

/* q-ths of each pixel in its cell. Returns whether they are all of the cell. */
static int32_t weigh_whole(Axis *axis) {
    int64_t p = axis->whole, q = axis->parts;
    for (int32_t d = 0; d < axis->out; d++) {
        int64_t sum = 0;
        for (int32_t k = 0; k < axis->count[d]; k++) {
            int64_t from = q * (axis->first[d] + k), to = from + q;
            from = from > p * d ? from : p * d;
            to = to < p * (d + 1) ? to : p * (d + 1);
            axis->part[(size_t)d * axis->taps + k] = (uint16_t)(to > from ? to - from : 0);
            sum += to > from ? to - from : 0;
        }
        if (sum != p)
            return 0;
    }
    return 1;
}

static void weigh_box(Axis *axis) {
    for (int32_t d = 0; d < axis->out; d++) {
        axis->count[d] = axis->size / axis->out;
        axis->first[d] = d * axis->count[d];
    }
}

/* OpenCV's INTER_AREA where it enlarges. */
static void weigh_linear(Axis *axis) {
    double scale = factor_of(axis->size, axis->out), inverse = (double)axis->out / axis->size;
    for (int32_t d = 0; d < axis->out; d++) {
        int32_t s = (int32_t)floor(d * scale);
        float f = (float)((d + 1) - (s + 1) * inverse);
        f = f <= 0 ? 0.f : f - floorf(f);
        if (s >= axis->size - 1) {
            s = axis->size - 1;
            f = 0;
        }
        axis->first[d] = s;
        axis->count[d] = s < axis->size - 1 ? 2 : 1;
        axis->coef[(size_t)d * axis->taps] = (int32_t)lrintf((1.f - f) * 2048.f);
        axis->coef[(size_t)d * axis->taps + 1] = (int32_t)lrintf(f * 2048.f);
    }
}

/* Find the division by pr, in 16 bits, for every sum that there is. Returns whether there is one. */
static int32_t find_division(Plan *plan) {
    uint32_t area = plan->area, most = 255u * area + plan->half;
    for (uint32_t shift = 0; shift < 16 && area % (1u << shift) == 0; shift++) {
        for (uint32_t post = 0; post < 16; post++) {
            uint32_t divisor = area >> shift, magic = ((1u << (16 + post)) - 1) / divisor + 1, n = 0;
            if (magic > 65535u)
                break;
            while (n <= most && ((n >> shift) * magic >> 16) >> post == n / area)
                n++;
            if (n > most) {
                plan->shift = (uint16_t)shift;
                plan->magic = (uint16_t)magic;
                plan->post = (uint16_t)post;
                return 1;
            }
        }
    }
    return 0;
}

static int32_t plan_whole(Plan *plan) {
    int64_t area = (int64_t)plan->x.whole * plan->y.whole;
    if (area > 257 || 255 * area + area / 2 > 65535)
        return 0;
    plan->area = (uint16_t)area;
    plan->half = (uint16_t)(area / 2);
    return find_division(plan) && weigh_whole(&plan->x) && weigh_whole(&plan->y);
}

/* Sums of a block that are made of so many pixels: two shuffles of them, two multiply-adds. Returns
   whether all blocks are. */
static int32_t fill_blocks(Plan *plan, int32_t lanes) {
    const Axis *x = &plan->x;
    for (int32_t i = 0; i < plan->blocks * lanes; i++) {
        int32_t block = i / lanes, last = x->out - lanes;
        int32_t start = block < plan->blocks - 1 ? lanes * block : last; /* the last one overlaps */
        int32_t d = start + i % lanes, at = x->first[d] - x->first[start];
        const uint16_t *part = x->part + (size_t)d * x->taps;
        if (x->count[d] > 4 || at > 2 * lanes - 2)
            return 0;
        plan->base[block] = x->first[start];
        for (int32_t k = 0; k < 2; k++) {
            plan->shuffle[2 * i + k] = (uint8_t)(at + k);
            plan->part01[2 * i + k] = (uint8_t)part[k];
            plan->part23[2 * i + k] = (uint8_t)part[k + 2];
        }
    }
    return 1;
}

/* Return whether a row fits three registers of 64, and every block two of them. */
static int32_t fits_registers(const Plan *plan) {
    const Axis *x = &plan->x;
    int32_t lanes = plan->vectors->lanes;
    for (int32_t d = 0; d < x->out; d++) {
        int32_t block = d / lanes < plan->blocks - 1 ? d / lanes : plan->blocks - 1;
        int32_t start = plan->base[block] / 64 * 64;
        if (start > 64 || x->first[d] + x->count[d] > start + 128)
            return 0;
    }
    return x->size <= 192;
}

/* Choose the fastest vectors that can make sums of this size. Returns whether there is memory. */
static int32_t plan_vectors(Plan *plan, int32_t which) {
    size_t most = (size_t)plan->x.out + 64;
    plan->base = calloc(most, sizeof(int32_t));
    plan->shuffle = calloc(most, 6);
    if (!plan->base || !plan->shuffle)
        return 0;
    plan->part01 = plan->shuffle + 2 * most;
    plan->part23 = plan->part01 + 2 * most;
    for (; which > PLAIN; which--) {
        int32_t lanes = vectors_of(which)->lanes;
        plan->blocks = (plan->x.out + lanes - 1) / lanes;
        if (plan->x.out >= lanes && plan->x.whole <= 127 && fill_blocks(plan, lanes))
            break;
    }
    plan->vectors = vectors_of(which);
    plan->in_registers = plan->vectors->row != NULL && fits_registers(plan);
    return 1;
}

static int32_t plan_ways(Plan *plan, int32_t vectors) {
    Axis *x = &plan->x, *y = &plan->y;
    double wide = factor_of(x->size, x->out), high = factor_of(y->size, y->out);
    if (wide < 1 || high < 1) {
        plan->kind = LINEAR;
        weigh_linear(x);
        weigh_linear(y);
    } else if (is_whole(wide) && is_whole(high)) {
        plan->kind = BOX;
        weigh_box(x);
        weigh_box(y);
        plan->scale = 1.f / (float)((int64_t)x->count[0] * y->count[0]);
    } else {
        weigh_area(x);
        weigh_area(y);
        plan->kind = plan_whole(plan) ? WHOLE : FLOAT;
    }
    return plan->kind != WHOLE || plan_vectors(plan, vectors);
}

Plan *plan_make(
    int32_t rows, int32_t columns, int32_t out_rows, int32_t out_columns, int32_t vectors) {
    Plan *plan = calloc(1, sizeof(Plan));
    if (!plan)
        return NULL;
    if (!axis_make(&plan->x, columns, out_columns) || !axis_make(&plan->y, rows, out_rows) ||
        !plan_ways(plan, vectors)) {
        plan_free(plan);
        return NULL;
    }
    plan->grey_pitch = round_up((size_t)columns + 192);
    plan->sum_pitch = round_up(4 * ((size_t)out_columns + 8));
    size_t line = round_up((size_t)out_columns + 8), slots = (size_t)plan->y.taps;
    size_t lists = round_up((size_t)rows * sizeof(int32_t)) + plan->sum_pitch;
    plan->room = 64 + slots * (plan->grey_pitch + plan->sum_pitch) + line + lists +
                 round_up(slots * sizeof(void *));
    return plan;
}

void plan_free(Plan *plan) {
    if (!plan)
        return;
    axis_free(&plan->x);
    axis_free(&plan->y);
    free(plan->base);
    free(plan->shuffle);
    free(plan);
}
