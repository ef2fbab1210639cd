#include "vectors.h"

#include <string.h>

/* --- plain ---------------------------------------------------------------------------------------- */

static int32_t equal_plain(const uint8_t *a, const uint8_t *b, size_t n) {
    return !memcmp(a, b, n);
}

static int32_t compare_plain(const uint8_t *a, const uint8_t *b, size_t n) {
    return (memcmp(a, b, n) ? 0 : ALIKE) | (memcmp(a, a - n, n) ? 0 : AS_ABOVE);
}

static void lookup_plain(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t n, uint8_t *grey) {
    if (a == b)
        for (int32_t x = 0; x < n; x++)
            grey[x] = picture->value[a[x]];
    else
        for (int32_t x = 0; x < n; x++)
            grey[x] = pooled_index(picture, a[x], b[x]);
}

static void across_plain(const Plan *plan, const uint8_t *grey, uint16_t *sums) {
    const Axis *x = &plan->x;
    const int32_t columns = x->out, taps = x->taps, *first = x->first;
    const uint16_t *part = x->part;
    for (int32_t d = 0; d < columns; d++, part += taps) {
        const uint8_t *pixel = grey + first[d];
        uint32_t sum = (uint32_t)(part[0] * pixel[0] + part[1] * pixel[1] + part[2] * pixel[2]);
        for (int32_t k = 3; k < x->count[d]; k++)
            sum += (uint32_t)part[k] * pixel[k];
        sums[d] = (uint16_t)sum;
    }
}

/* Up to 64 sums. In loops that compilers make vectors of. Returns whether there are ties. */
static int32_t down_some(
    const Plan *plan, const uint16_t *const *rows, const uint16_t *part, int32_t count, int32_t start,
    int32_t n, uint8_t *out, uint8_t *tied) {
    const uint16_t half = plan->half, shift = plan->shift, magic = plan->magic, post = plan->post;
    const uint16_t area = plan->area;
    uint16_t sum[64];
    int32_t any = 0;
    for (int32_t i = 0; i < n; i++)
        sum[i] = half;
    for (int32_t j = 0; j < count; j++) {
        const uint16_t *row = rows[j] + start, weight = part[j];
        for (int32_t i = 0; i < n; i++)
            sum[i] = (uint16_t)(sum[i] + weight * row[i]);
    }
    for (int32_t i = 0; i < n; i++) {
        uint16_t value = (uint16_t)(((uint32_t)(sum[i] >> shift) * magic >> 16) >> post);
        out[start + i] = (uint8_t)value;
        tied[i] = sum[i] == (uint16_t)(value * area);
    }
    for (int32_t i = 0; i < n; i++)
        any |= tied[i];
    return any && plan->area % 2 == 0;
}

static int32_t down_plain(
    const Plan *plan, const uint16_t *const *rows, const uint16_t *part, int32_t count,
    uint8_t *out, int32_t *ties) {
    uint8_t tied[64];
    int32_t found = 0, columns = plan->x.out;
    for (int32_t start = 0; start < columns; start += 64) {
        int32_t n = columns - start < 64 ? columns - start : 64;
        if (down_some(plan, rows, part, count, start, n, out, tied))
            for (int32_t i = 0; i < n; i++)
                if (tied[i])
                    ties[found++] = start + i;
    }
    return found;
}

static const Vectors plain = {
    equal_plain, compare_plain, lookup_plain, across_plain, NULL, down_plain, 0};

#if defined(__x86_64__) && defined(__GNUC__)

#include <immintrin.h>

#define WITH_SSSE3 __attribute__((target("ssse3")))
#define WITH_AVX512 __attribute__((target("avx512f,avx512bw,avx512vl,avx512vbmi")))

static int32_t start_of(const Plan *plan, int32_t block, int32_t lanes) {
    return block < plan->blocks - 1 ? lanes * block : plan->x.out - lanes; /* the last one overlaps */
}

/* --- SSSE3 ---------------------------------------------------------------------------------------- */

static __m128i load(const void *from) { return _mm_loadu_si128(from); }

WITH_SSSE3 static int32_t compare_ssse3(const uint8_t *a, const uint8_t *b, size_t n) {
    const __m128i zero = _mm_setzero_si128();
    __m128i above = zero, other = zero;
    size_t x = 0;
    for (; x + 16 <= n; x += 16) {
        __m128i here = load(a + x);
        above = _mm_or_si128(above, _mm_xor_si128(here, load(a + x - n)));
        other = _mm_or_si128(other, _mm_xor_si128(here, load(b + x)));
    }
    int32_t as_above = _mm_movemask_epi8(_mm_cmpeq_epi8(above, zero)) == 0xffff;
    int32_t alike = _mm_movemask_epi8(_mm_cmpeq_epi8(other, zero)) == 0xffff;
    return (alike && !memcmp(a + x, b + x, n - x) ? ALIKE : 0) |
           (as_above && !memcmp(a + x, a + x - n, n - x) ? AS_ABOVE : 0);
}

/* Most pixels of two screens are alike. */
static void pool_differing(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t n, uint8_t *grey) {
    int32_t x = 0;
    for (; x + 16 <= n; x += 16) {
        int alike = _mm_movemask_epi8(_mm_cmpeq_epi8(load(a + x), load(b + x)));
        for (unsigned differ = 0xffffu ^ (unsigned)alike; differ; differ &= differ - 1) {
            int32_t at = x + __builtin_ctz(differ);
            grey[at] = pooled_index(picture, a[at], b[at]);
        }
    }
    for (; x < n; x++)
        grey[x] = pooled_index(picture, a[x], b[x]);
}

/* A shuffle looks 16 indices up in 16 values, or yields 0 where bit 7 is set. An index i, less 16
   from table to table, has passed tables 0 to i / 16 before it becomes negative. Table k has the
   values from 16 k on, each with that of 16 before it taken out by exclusive or. So the value of i
   is left. Only even indices: 128 of them, all that most consoles show. */
WITH_SSSE3 static void lookup_ssse3(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t n, uint8_t *grey) {
    __m128i table[8], odd = _mm_setzero_si128();
    int32_t x = 0;
    for (int32_t k = 0; k < 8; k++)
        table[k] = load(picture->steps + 16 * k);
    for (; x + 16 <= n; x += 16) {
        __m128i index = load(a + x), value;
        odd = _mm_or_si128(odd, index);
        index = _mm_and_si128(_mm_srli_epi16(index, 1), _mm_set1_epi8(0x7f));
        value = _mm_shuffle_epi8(table[0], index);
        for (int32_t k = 1; k < 8; k++) {
            index = _mm_sub_epi8(index, _mm_set1_epi8(16));
            value = _mm_xor_si128(value, _mm_shuffle_epi8(table[k], index));
        }
        _mm_storeu_si128((__m128i *)(grey + x), value);
    }
    if (_mm_movemask_epi8(_mm_slli_epi16(odd, 7)))
        x = 0;
    for (; x < n; x++)
        grey[x] = picture->value[a[x]];
    if (a != b)
        pool_differing(picture, a, b, n, grey);
}

WITH_SSSE3 static void across_ssse3(const Plan *plan, const uint8_t *grey, uint16_t *sums) {
    for (int32_t k = 0; k < plan->blocks; k++) {
        const uint8_t *from = grey + plan->base[k];
        __m128i shuffle = load(plan->shuffle + 16 * k);
        __m128i low = _mm_shuffle_epi8(load(from), shuffle);
        __m128i high = _mm_shuffle_epi8(load(from + 2), shuffle);
        low = _mm_maddubs_epi16(low, load(plan->part01 + 16 * k));
        high = _mm_maddubs_epi16(high, load(plan->part23 + 16 * k));
        _mm_storeu_si128((__m128i *)(sums + 8 * k), _mm_add_epi16(low, high));
    }
}

WITH_SSSE3 static int32_t down_ssse3(
    const Plan *plan, const uint16_t *const *rows, const uint16_t *part, int32_t count,
    uint8_t *out, int32_t *ties) {
    const __m128i magic = _mm_set1_epi16((short)plan->magic), area = _mm_set1_epi16((short)plan->area);
    const __m128i shift = _mm_cvtsi32_si128(plan->shift), post = _mm_cvtsi32_si128(plan->post);
    const unsigned even = plan->area % 2 ? 0 : 0x5555;
    int32_t found = 0;
    for (int32_t k = 0; k < plan->blocks; k++) {
        int32_t start = start_of(plan, k, 8);
        __m128i sum = _mm_set1_epi16((short)plan->half), value;
        for (int32_t j = 0; j < count; j++) {
            __m128i row = load(rows[j] + 8 * k);
            sum = _mm_add_epi16(sum, _mm_mullo_epi16(row, _mm_set1_epi16((short)part[j])));
        }
        value = _mm_srl_epi16(_mm_mulhi_epu16(_mm_srl_epi16(sum, shift), magic), post);
        _mm_storel_epi64((__m128i *)(out + start), _mm_packus_epi16(value, value));
        sum = _mm_cmpeq_epi16(sum, _mm_mullo_epi16(value, area));
        unsigned tied = (unsigned)_mm_movemask_epi8(sum) & even;
        tied &= 0xffffu << 2 * (8 * k - start); /* others were done in the block before */
        for (; tied; tied &= tied - 1)
            ties[found++] = start + __builtin_ctz(tied) / 2;
    }
    return found;
}

static const Vectors ssse3 = {
    equal_plain, compare_ssse3, lookup_ssse3, across_ssse3, NULL, down_ssse3, 8};

/* --- AVX-512 -------------------------------------------------------------------------------------- */

WITH_AVX512 static inline __m512i load_512(const void *from) { return _mm512_loadu_si512(from); }

WITH_AVX512 static __mmask64 mask_of(size_t n) { return n < 64 ? (1ull << n) - 1 : ~0ull; }

WITH_AVX512 static int32_t equal_avx512(const uint8_t *a, const uint8_t *b, size_t n) {
    __m512i other = _mm512_setzero_si512();
    for (size_t x = 0; x < n; x += 64) {
        __mmask64 mask = mask_of(n - x);
        __m512i here = _mm512_maskz_loadu_epi8(mask, a + x);
        __m512i there = _mm512_maskz_loadu_epi8(mask, b + x);
        other = _mm512_or_si512(other, _mm512_xor_si512(here, there));
    }
    return !_mm512_test_epi8_mask(other, other);
}

WITH_AVX512 static int32_t compare_avx512(const uint8_t *a, const uint8_t *b, size_t n) {
    __m512i above = _mm512_setzero_si512(), other = above;
    for (size_t x = 0; x < n; x += 64) {
        __mmask64 mask = mask_of(n - x);
        __m512i here = _mm512_maskz_loadu_epi8(mask, a + x);
        __m512i up = _mm512_maskz_loadu_epi8(mask, a + x - n);
        __m512i there = _mm512_maskz_loadu_epi8(mask, b + x);
        above = _mm512_or_si512(above, _mm512_xor_si512(here, up));
        other = _mm512_or_si512(other, _mm512_xor_si512(here, there));
    }
    return (_mm512_test_epi8_mask(other, other) ? 0 : ALIKE) |
           (_mm512_test_epi8_mask(above, above) ? 0 : AS_ABOVE);
}

/* A permutation looks 64 indices up in 128 values by their lower 7 bits. */
WITH_AVX512 static __m512i lookup_64(const __m512i table[4], __m512i index) {
    __m512i low = _mm512_permutex2var_epi8(table[0], index, table[1]);
    __m512i high = _mm512_permutex2var_epi8(table[2], index, table[3]);
    return _mm512_mask_blend_epi8(_mm512_movepi8_mask(index), low, high);
}

WITH_AVX512 static void lookup_avx512(
    const Picture *picture, const uint8_t *a, const uint8_t *b, int32_t n, uint8_t *grey) {
    __m512i table[4];
    for (int32_t k = 0; k < 4; k++)
        table[k] = _mm512_loadu_si512(picture->value + 64 * k);
    for (int32_t x = 0; x < n; x += 64) {
        __mmask64 mask = mask_of((size_t)(n - x));
        __m512i value = lookup_64(table, _mm512_maskz_loadu_epi8(mask, a + x));
        if (a != b && picture->kind == INDICES) {
            __m512i other = lookup_64(table, _mm512_maskz_loadu_epi8(mask, b + x));
            value = _mm512_max_epu8(value, other);
        }
        _mm512_storeu_si512(grey + x, value); /* there is room beyond the row */
    }
    if (a != b && picture->kind != INDICES)
        pool_differing(picture, a, b, n, grey);
}

WITH_AVX512 static void across_avx512(const Plan *plan, const uint8_t *grey, uint16_t *sums) {
    for (int32_t k = 0; k < plan->blocks; k++) {
        const uint8_t *from = grey + plan->base[k];
        __m512i shuffle = _mm512_loadu_si512(plan->shuffle + 64 * k);
        __m512i low = _mm512_permutexvar_epi8(shuffle, _mm512_loadu_si512(from));
        __m512i high = _mm512_permutexvar_epi8(shuffle, _mm512_loadu_si512(from + 2));
        low = _mm512_maddubs_epi16(low, _mm512_loadu_si512(plan->part01 + 64 * k));
        high = _mm512_maddubs_epi16(high, _mm512_loadu_si512(plan->part23 + 64 * k));
        _mm512_storeu_si512(sums + 32 * k, _mm512_add_epi16(low, high));
    }
}

/* 64 values of the row from column x on, of the n that there are, pooled. */
WITH_AVX512 static inline __m512i value_at(
    const __m512i table[4], const uint8_t *a, const uint8_t *b, int32_t n, int32_t x) {
    __mmask64 mask = n > x ? mask_of((size_t)(n - x)) : 0;
    __m512i value = lookup_64(table, _mm512_maskz_loadu_epi8(mask, a + x));
    if (a == b)
        return value;
    return _mm512_max_epu8(value, lookup_64(table, _mm512_maskz_loadu_epi8(mask, b + x)));
}

/* The row stays in three registers: loads that span what was stored a moment ago would wait for it,
   a quarter of the time on busy screens. */
WITH_AVX512 static int32_t row_avx512(
    const Plan *plan, const Picture *picture, const uint8_t *a, const uint8_t *b, uint8_t *grey,
    uint16_t *sums) {
    if (picture->kind < INDICES || (a != b && picture->kind != INDICES))
        return 0;
    const int32_t n = plan->x.size, blocks = plan->blocks, *base = plan->base;
    const uint8_t *shuffle = plan->shuffle, *part01 = plan->part01, *part23 = plan->part23;
    const uint8_t *of = picture->value;
    const __m512i table[4] = {
        load_512(of), load_512(of + 64), load_512(of + 128), load_512(of + 192)};
    const __m512i left = value_at(table, a, b, n, 0), middle = value_at(table, a, b, n, 64);
    const __m512i right = value_at(table, a, b, n, 128);
    _mm512_storeu_si512(grey, left);
    _mm512_storeu_si512(grey + 64, middle);
    _mm512_storeu_si512(grey + 128, right);
    for (int32_t k = 0; k < blocks; k++, shuffle += 64, part01 += 64, part23 += 64, sums += 32) {
        /* Places in the two registers that the block is made of. */
        const __m512i start = _mm512_set1_epi8((char)(base[k] % 64));
        const __m512i at = _mm512_add_epi8(load_512(shuffle), start);
        const __m512i after = _mm512_add_epi8(at, _mm512_set1_epi8(2));
        const __m512i one = base[k] < 64 ? left : middle, two = base[k] < 64 ? middle : right;
        __m512i low = _mm512_permutex2var_epi8(one, at, two);
        __m512i high = _mm512_permutex2var_epi8(one, after, two);
        low = _mm512_maddubs_epi16(low, load_512(part01));
        high = _mm512_maddubs_epi16(high, load_512(part23));
        _mm512_storeu_si512(sums, _mm512_add_epi16(low, high));
    }
    return 1;
}

WITH_AVX512 static int32_t down_avx512(
    const Plan *plan, const uint16_t *const *rows, const uint16_t *part, int32_t count,
    uint8_t *out, int32_t *ties) {
    const __m512i magic = _mm512_set1_epi16((short)plan->magic);
    const __m512i area = _mm512_set1_epi16((short)plan->area);
    const __m128i shift = _mm_cvtsi32_si128(plan->shift), post = _mm_cvtsi32_si128(plan->post);
    const uint32_t even = plan->area % 2 ? 0 : ~0u;
    int32_t found = 0;
    for (int32_t k = 0; k < plan->blocks; k++) {
        int32_t start = start_of(plan, k, 32);
        __m512i sum = _mm512_set1_epi16((short)plan->half), value;
        for (int32_t j = 0; j < count; j++) {
            __m512i row = _mm512_loadu_si512(rows[j] + 32 * k);
            row = _mm512_mullo_epi16(row, _mm512_set1_epi16((short)part[j]));
            sum = _mm512_add_epi16(sum, row);
        }
        value = _mm512_mulhi_epu16(_mm512_srl_epi16(sum, shift), magic);
        value = _mm512_srl_epi16(value, post);
        _mm256_storeu_si256((__m256i *)(out + start), _mm512_cvtepi16_epi8(value));
        uint32_t tied = _mm512_cmpeq_epi16_mask(sum, _mm512_mullo_epi16(value, area));
        tied &= even & ~0u << (32 * k - start); /* others were done in the block before */
        for (; tied; tied &= tied - 1)
            ties[found++] = start + __builtin_ctz(tied);
    }
    return found;
}

static const Vectors avx512 = {
    equal_avx512, compare_avx512, lookup_avx512, across_avx512, row_avx512, down_avx512, 32};

int32_t vectors_here(void) {
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512vbmi") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512vl"))
        return AVX512;
    return __builtin_cpu_supports("ssse3") ? SSSE3 : PLAIN;
}

const Vectors *vectors_of(int32_t which) {
    return which == AVX512 ? &avx512 : which == SSSE3 ? &ssse3 : &plain;
}

#else

int32_t vectors_here(void) { return PLAIN; }

const Vectors *vectors_of(int32_t which) {
    (void)which;
    return &plain;
}

#endif
