#include "area.h"

#include <math.h>
#include <string.h>

#include "screens.h"
#include "vectors.h"

/* --- across: one row ---------------------------------------------------------------------------- */

static float float_at(const Axis *x, const uint8_t *grey, int32_t d) {
    const float *weight = x->weight + (size_t)d * x->taps;
    const uint8_t *pixel = grey + x->first[d];
    float sum = 0;
    for (int32_t k = 0; k < x->count[d]; k++)
        sum += pixel[k] * weight[k];
    return sum;
}

static void across_float(const Axis *x, const uint8_t *grey, float *sums) {
    for (int32_t d = 0; d < x->out; d++)
        sums[d] = float_at(x, grey, d);
}

static void across_box(const Axis *x, const uint8_t *grey, int32_t *sums) {
    for (int32_t d = 0; d < x->out; d++) {
        int32_t sum = 0;
        for (int32_t k = 0; k < x->count[d]; k++)
            sum += grey[x->first[d] + k];
        sums[d] = sum;
    }
}

static void across_linear(const Axis *x, const uint8_t *grey, int32_t *sums) {
    for (int32_t d = 0; d < x->out; d++) {
        const int32_t *coef = x->coef + (size_t)d * x->taps;
        const uint8_t *pixel = grey + x->first[d];
        sums[d] = coef[0] * pixel[0] + (x->count[d] > 1 ? coef[1] * pixel[1] : 0);
    }
}

static void across(const Plan *plan, const uint8_t *grey, void *sums) {
    if (plan->kind == WHOLE)
        plan->vectors->across(plan, grey, sums);
    else if (plan->kind == FLOAT)
        across_float(&plan->x, grey, sums);
    else if (plan->kind == BOX)
        across_box(&plan->x, grey, sums);
    else
        across_linear(&plan->x, grey, sums);
}

/* --- down: rows to one row of output ------------------------------------------------------------ */

static uint8_t to_byte(float value) {
    long rounded = lrintf(value); /* half to even, as OpenCV */
    return (uint8_t)(rounded < 0 ? 0 : rounded > 255 ? 255 : rounded);
}

static void down_float(
    const float *const *rows, const float *weight, int32_t count, int32_t columns, uint8_t *out) {
    for (int32_t d = 0; d < columns; d++) {
        float sum = weight[0] * rows[0][d];
        for (int32_t j = 1; j < count; j++)
            sum += weight[j] * rows[j][d];
        out[d] = to_byte(sum);
    }
}

static void down_box(
    const int32_t *const *rows, int32_t count, const Plan *plan, uint8_t *out) {
    int32_t two = plan->x.count[0] == 2 && count == 2;
    for (int32_t d = 0; d < plan->x.out; d++) {
        int32_t sum = 0;
        for (int32_t j = 0; j < count; j++)
            sum += rows[j][d];
        out[d] = two ? (uint8_t)((sum + 2) >> 2) : to_byte((float)sum * plan->scale);
    }
}

static void down_linear(
    const int32_t *const *rows, const int32_t *coef, int32_t count, int32_t columns, uint8_t *out) {
    const int32_t *low = rows[0], *high = rows[count - 1];
    for (int32_t d = 0; d < columns; d++) {
        int32_t sum = ((coef[0] * (low[d] >> 4)) >> 16) + ((coef[1] * (high[d] >> 4)) >> 16);
        out[d] = (uint8_t)((sum + 2) >> 2);
    }
}

/* --- a picture ------------------------------------------------------------------------------------ */

/* Rows in work: `taps` slots, so that all rows of one output are there. */
typedef struct {
    uint8_t *grey, *sums, *line;
    int32_t *slot; /* of every row of the picture */
    int32_t *ties;
    const void **rows;
    int32_t newest, ready; /* slots and rows that were filled */
    int32_t alike;         /* whether the newest row was so on both screens */
} Work;

static Work work_in(const Plan *plan, uint8_t *room) {
    size_t slots = (size_t)plan->y.taps;
    Work work = {.newest = -1};
    room += (32 - (uintptr_t)room % 32) % 32;
    work.rows = (const void **)room;
    room += round_up(slots * sizeof(void *));
    work.grey = room;
    room += slots * plan->grey_pitch;
    work.sums = room;
    room += slots * plan->sum_pitch;
    work.ties = (int32_t *)room;
    room += plan->sum_pitch;
    work.slot = (int32_t *)room;
    room += (size_t)plan->y.size * sizeof(int32_t);
    work.line = room;
    return work;
}

/* Return whether rows equal those above, on both screens. Most are alike on both, and so only one of
   them is compared with what is above. */
static int32_t compare(
    const Picture *picture, const uint8_t *a, const uint8_t *b, size_t n, int32_t y,
    const Work *work, int32_t *alike) {
    const Vectors *vectors = picture->vectors;
    int32_t is;
    if (!y || work->ready != y) {
        *alike = a == b || vectors->equal(a, b, n);
        return 0;
    }
    if (a == b)
        is = ALIKE | (vectors->equal(a, a - n, n) ? AS_ABOVE : 0);
    else
        is = vectors->compare(a, b, n);
    *alike = (is & ALIKE) != 0;
    if (!(is & AS_ABOVE) || (*alike && work->alike))
        return is & AS_ABOVE;
    return *alike == work->alike && vectors->equal(b, b - n, n);
}

static void fill(
    const Plan *plan, const Picture *picture, const uint8_t *a, const uint8_t *b, uint8_t *grey,
    void *sums) {
    if (plan->in_registers && plan->vectors->row(plan, picture, a, b, grey, sums))
        return;
    row_of(picture, a, b, plan->x.size, grey);
    across(plan, grey, sums);
}

static void fill_row(const Plan *plan, const Picture *picture, int32_t y, Work *work) {
    size_t n = picture->pitch, at = n * (size_t)y;
    const uint8_t *a = picture->frame + at, *b = picture->previous + at;
    int32_t alike;
    if (compare(picture, a, b, n, y, work, &alike)) {
        work->slot[y] = work->slot[y - 1];
    } else {
        work->newest = (work->newest + 1) % plan->y.taps;
        fill(plan, picture, a, alike ? a : b,
             work->grey + plan->grey_pitch * (size_t)work->newest,
             work->sums + plan->sum_pitch * (size_t)work->newest);
        work->slot[y] = work->newest;
    }
    work->alike = alike;
    work->ready = y + 1;
}

/* What OpenCV's float32 sums make of a tie. */
static uint8_t tie_at(const Plan *plan, const Work *work, int32_t dy, int32_t dx) {
    const float *weight = plan->y.weight + (size_t)dy * plan->y.taps;
    float sum = 0;
    for (int32_t j = 0; j < plan->y.count[dy]; j++) {
        int32_t slot = work->slot[plan->y.first[dy] + j];
        sum += weight[j] * float_at(&plan->x, work->grey + plan->grey_pitch * (size_t)slot, dx);
    }
    return to_byte(sum);
}

/* Write a row of output. Returns whether it is that of any such rows, so that the next output made
   of the same ones only is the same. */
static int32_t down(const Plan *plan, int32_t dy, int32_t flat, Work *work, uint8_t *out) {
    const Axis *y = &plan->y;
    size_t at = (size_t)dy * y->taps;
    int32_t count = y->count[dy], found;
    const void *const *rows = work->rows;
    for (int32_t j = 0; j < count; j++)
        work->rows[j] = work->sums + plan->sum_pitch * (size_t)work->slot[y->first[dy] + j];
    if (plan->kind == WHOLE) {
        uint16_t all = (uint16_t)y->whole;
        const uint16_t *part = flat ? &all : y->part + at;
        count = flat ? 1 : count;
        found = plan->vectors->down(
            plan, (const uint16_t *const *)rows, part, count, out, work->ties);
        for (int32_t k = 0; k < found; k++)
            out[work->ties[k]] = tie_at(plan, work, dy, work->ties[k]);
        return flat && !found;
    }
    if (plan->kind == FLOAT)
        down_float((const float *const *)rows, y->weight + at, count, plan->x.out, out);
    else if (plan->kind == BOX)
        down_box((const int32_t *const *)rows, count, plan, out);
    else
        down_linear((const int32_t *const *)rows, y->coef + at, count, plan->x.out, out);
    return flat && plan->kind == BOX;
}

void resize_picture(
    const Plan *plan, const Picture *picture, uint8_t *out, int32_t step, uint8_t *room) {
    const Axis *y = &plan->y;
    const size_t columns = (size_t)plan->x.out;
    Work work = work_in(plan, room);
    const uint8_t *above = NULL;
    int32_t last = -1; /* the one slot that the output above is made of, -1: of several */
    for (int32_t dy = 0; dy < y->out; dy++, out += columns * (size_t)step) {
        int32_t from = y->first[dy], to = from + y->count[dy];
        uint8_t *line = step == 1 ? out : work.line;
        for (int32_t k = work.ready > from ? work.ready : from; k < to; k++)
            fill_row(plan, picture, k, &work);
        int32_t slot = work.slot[from], flat = slot == work.slot[to - 1];
        if (!flat || last != slot)
            last = down(plan, dy, flat, &work, line) ? slot : -1;
        else if (step == 1)
            memcpy(line, above, columns);
        for (size_t d = 0; step > 1 && d < columns; d++)
            out[d * (size_t)step] = line[d];
        above = line;
    }
}
